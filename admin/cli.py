"""Operator commands, each of which does one thing to the installation that the settings point to.

They connect to PostgreSQL and Redis directly, need no running API, and work wherever one of our images or a checkout
is available.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated

import typer

from admin import doctor as examination
from admin import keys, shown
from admin import roles as database_roles
from admin.checks import Level
from admin.connection import connected, quiet, read_settings, reported
from common import ids, jobs, webhooks
from common.db import Database
from common.errors import ConfigurationError, ModelUnavailable, ParaqueueError, Unavailable
from common.jobs import Drain, Requeued
from common.queue import Publisher, make_app
from common.settings import Settings
from worker.transcription.models import ensure_bundle

app = typer.Typer(
    name="python -m admin",
    no_args_is_help=True,
    add_completion=False,
    help="Operate a Paraqueue installation. The commands use the settings of its processes, "
    "PARAQUEUE_DATABASE_URL and so on.",
    epilog="Exit status: 0 success; 1 refused, failed, or a check failed; 2 usage error.",
    pretty_exceptions_enable=False,
)
app.add_typer(keys.app, name="keys")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
POLL_SECONDS = 0.5
OVERDUE_SECONDS = 300.0


@app.command()
def doctor(
    json: Json = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Time limit for one check, in seconds.")] = 15.0,
    only: Annotated[list[str] | None, typer.Option(help="Run only this check; repeatable.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Skip this check; repeatable.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also import torch and test the device.")] = False,
) -> None:
    """Check the installation, a line each: ok, warn or fail, and what to do. Fails if one of them fails."""
    quiet()
    unknown = sorted({*(only or ()), *(skip or ())} - set(examination.names()))
    if unknown:
        raise typer.BadParameter(f"unknown check {', '.join(unknown)}; available: {', '.join(examination.names())}")
    chosen = [name for name in examination.names() if (not only or name in only) and name not in (skip or ())]
    results = examination.examine(chosen, timeout_seconds=timeout, deep=deep)
    shown.as_json(results) if json else shown.results(results)
    examination.end(1 if any(result.level is Level.FAIL for result in results) else 0)


@app.command()
def workers(json: Json = False) -> None:
    """List the workers with their model, number of jobs and state."""
    with reported(), connected() as (_, database):
        known = jobs.known_workers(database)
        shown.as_json(known) if json else shown.workers(known)


@app.command()
def drain(
    worker: Annotated[str, typer.Argument(help="Worker id, as shown by `workers`.")],
    end: Annotated[bool, typer.Option("--end", help="End the process when its jobs are done.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the worker has no jobs (and, with --end, has ended).")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Maximum time to wait, in seconds.")] = 86_400.0,
) -> None:
    """Have a worker accept no new jobs; its running jobs finish. SIGTERM hands them to other workers instead."""
    with reported(), connected() as (_, database):
        jobs.ask_to_drain(database, worker, Drain.END if end else Drain.STAY)
        deadline = time.monotonic() + timeout
        while wait:
            state = next((item for item in jobs.known_workers(database) if item.worker.id == worker), None)
            if state is None or not state.alive or (state.running == 0 and not end):
                break
            if time.monotonic() > deadline:
                raise Unavailable(f"{worker} still has {state.running} jobs and is still draining")
            time.sleep(POLL_SECONDS)
        print(f"{worker} {'drained' if wait else 'draining'}")


@app.command()
def undrain(worker: Annotated[str, typer.Argument(help="A worker's id.")]) -> None:
    """Have a drained worker take jobs again."""
    with reported(), connected() as (_, database):
        jobs.ask_to_drain(database, worker, None)
        print(f"{worker} takes jobs")


@app.command()
def requeue(wanted: Annotated[list[str], typer.Argument(metavar="ID…", help="tr_…")]) -> None:
    """Have jobs run again as soon as there is a free slot: waiting, processing, failed or canceled ones."""
    with reported(), connected() as (settings, database):
        failed = False
        for text in wanted:
            try:
                done = jobs.requeue(database, ids.parsed(ids.JOB, text))
                print(f"{text} {_what_happened(done)}")
            except ParaqueueError as error:
                failed = True
                print(f"paraqueue: {text}: {error.message}", file=sys.stderr)
        _announce(settings, database)
    if failed:
        sys.exit(1)


def _what_happened(done: Requeued) -> str:
    match done:
        case Requeued(before="processing", worker=str() as worker):
            return f"{done.job.status.value}; taken from {worker}"
        case Requeued(before="queued"):
            return "queued; announced anew"
    return f"queued; run {done.job.run}, was {done.before.value}"


def _announce(settings: Settings, database: Database) -> None:
    """Dispatch at once instead of at the next sweep. Print a line if Redis is down; the jobs are queued anyway."""
    try:
        with make_app(settings) as queue:
            jobs.dispatch(
                database,
                Publisher(queue),
                redispatch_seconds=settings.redispatch_seconds,
                tenant_max_running=settings.tenant_max_running,
                tenant_slot_share=settings.tenant_slot_share,
            )
    except Unavailable as error:
        print(f"paraqueue: {error.message}; the next sweep announces them", file=sys.stderr)


@app.command()
def stuck(
    json: Json = False,
    minutes: Annotated[
        float, typer.Option(min=0, help="Report jobs that have committed no part for this many minutes.")
    ] = 15.0,
) -> None:
    """Show what does not move although it should, with why and what to do. Fails if there is something."""
    with reported(), connected() as (settings, database):
        stuck = jobs.find_stuck(database, progress_seconds=minutes * 60, redispatch_seconds=settings.redispatch_seconds)
        late = webhooks.overdue(database, after_seconds=OVERDUE_SECONDS)
        rows = [shown.reason_of(item) for item in stuck] + [shown.reason_of(item) for item in late]
        shown.as_json(rows) if json else shown.reasons(rows)
    if rows:
        sys.exit(1)


@app.command()
def model() -> None:
    """Get the model bundle of the settings, so that no worker has to wait for it. Needs the worker's packages."""
    with reported():
        try:
            paths = ensure_bundle(read_settings(), print)
        except ModuleNotFoundError as error:
            raise ModelUnavailable(
                f"{error.name} is not installed; run this command where a worker is installed"
            ) from None
        print(f"{paths.name} ({paths.revision}) is complete in {paths.asr.parent}")


@app.command()
def roles() -> None:
    """Create the database roles of API, workers and light workers, or renew their rights; connect as the tables' owner.

    Passwords are read from POSTGRES_API_PASSWORD, POSTGRES_WORKER_PASSWORD and POSTGRES_LIGHT_PASSWORD. Those of new
    roles are asked for if they are unset.
    """
    given = {role: os.environ.get(variable, "") for role, variable in database_roles.ROLES.items()}
    with reported(), connected() as (_, database):
        done = database_roles.set_up(database, given, _password_of)
        for role, change in done.roles.items():
            print(f"{role}  {change}")
        if done.unlisted:
            print(f"paraqueue: no role may use {', '.join(done.unlisted)}: not in roles.sql", file=sys.stderr)


def _password_of(role: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{database_roles.ROLES[role]} is not set, and there is no terminal to ask at")
    password: str = typer.prompt(f"Password of {role}", hide_input=True, confirmation_prompt=True, err=True)
    return password


def main() -> None:
    """Run the command line."""
    app()
