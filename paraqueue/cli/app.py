"""The command line: each command asks the service one thing and prints it."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from paraqueue import config
from paraqueue.cli import exits, files, show
from paraqueue.cli.submitting import Done, Wish, submit_all
from paraqueue.client import Client
from paraqueue.errors import ConfigurationError, JobEnded
from paraqueue.models import COMPLETED

app = typer.Typer(
    name="paraqueue",
    no_args_is_help=True,
    help="Transcribe long audio with a Paraqueue service. Where it is: PARAQUEUE_URL, with which key: "
    "PARAQUEUE_API_KEY, or `paraqueue config set`.",
    epilog="Exit status: 0 done, 1 failed or refused, 2 usage, 3 not allowed, 4 service unreachable, 5 not found, "
    "6 still running when the time to wait was over.",
    pretty_exceptions_enable=False,
)
keys = typer.Typer(no_args_is_help=True, help="API keys (needs a key with the scope admin).")
settings = typer.Typer(no_args_is_help=True, help="What this command keeps about the service.")
app.add_typer(keys, name="keys")
app.add_typer(settings, name="config")


class Form(StrEnum):
    """Forms of a transcript."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"


class Channels(StrEnum):
    """What to do with several channels."""

    MIX = "mix"
    SPLIT = "split"


Id = Annotated[str, typer.Argument(help="The id of a transcription: tr_…", metavar="ID")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
FormOption = Annotated[Form, typer.Option("--format", "-f", help="Form of the transcript.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="May be given several times.")]
Seconds = Annotated[float | None, typer.Option(help="Longest time to wait, in seconds.")]


@app.command()
def submit(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, or links.", metavar="FILE|DIR|URL…")],
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait, and print or write the transcripts.")] = False,
    form: FormOption = Form.TXT,
    directory: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write transcripts to; implies --wait.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model than the service's own.")] = None,
    channels: Annotated[Channels | None, typer.Option(help="split: each channel by itself.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="9 runs first.")] = None,
    tag: Tags = None,
    webhook: Annotated[str | None, typer.Option(help="Is told when the transcription ends.")] = None,
    timeout: Seconds = None,
    json: Json = False,
) -> None:
    """Submit audio; several files go at once, interrupted uploads are continued."""
    with exits.reported():
        options: dict[str, Any] = {
            "model": model,
            "channels": channels.value if channels else None,
            "priority": priority,
            "tags": tag or [],
            "webhook_url": webhook,
        }
        wish = Wish(options, wait or directory is not None, form.value, directory, timeout)
        with Client() as client:
            done = submit_all(client, files.expanded(sources), wish, quiet=json or not exits.errors.is_terminal)
    _tell(done, wish, json=json)
    worst = next((item.error for item in done if item.error), None)
    if worst:
        sys.exit(exits.status_of(worst))


def _tell(done: list[Done], wish: Wish, *, json: bool) -> None:
    if json:
        show.as_json(
            [
                {
                    "source": item.source,
                    "transcription": item.job.model_dump(mode="json") if item.job else None,
                    "path": str(item.path) if item.path else None,
                    "text": item.text if wish.directory is None else None,
                    "error": exits.told(item.error) if item.error else None,
                }
                for item in done
            ]
        )
        return
    for item in done:
        if item.error:
            exits.errors.print(f"paraqueue: {item.source}: {exits.told(item.error)}", markup=False)
        elif item.path:
            print(item.path)
        elif item.text is not None:
            print(item.text, end="" if item.text.endswith("\n") else "\n")
        elif item.job:
            print(item.job.id)


@app.command()
def transcribe(
    source: Annotated[str, typer.Argument(help="A file or a link.", metavar="FILE|URL")],
    local: Annotated[bool, typer.Option("--local", help="Run the engine here, without a service.")] = False,
    form: FormOption = Form.TXT,
    timeout: Seconds = None,
) -> None:
    """Transcribe one recording and print the transcript."""
    if local:
        sys.exit(_local(source, form))
    submit([source], wait=True, form=form, timeout=timeout)


def _local(source: str, form: Form) -> int:
    """The engine as a process of its own: it needs torch and the model, which this command does not."""
    with exits.reported():
        if find_spec("torch") is None or find_spec("worker") is None:
            raise ConfigurationError(
                "the engine is not installed here: run this in a checkout of Paraqueue after `make venv`"
            )
    return subprocess.run(
        [sys.executable, "-m", "worker.engine", source, "--format", form.value], check=False
    ).returncode


@app.command()
def status(id: Id, json: Json = False) -> None:
    """Show a transcription."""
    with exits.reported(), Client() as client:
        job = client.get(id)
        show.as_json(job) if json else show.details(job)


@app.command()
def wait(id: Id, timeout: Seconds = None, json: Json = False) -> None:
    """Wait until a transcription has ended; the exit status says how."""
    with exits.reported(), Client() as client:
        job = client.wait(id, timeout=timeout)
        show.as_json(job) if json else show.details(job)
        if job.status != COMPLETED:
            raise JobEnded(job)


@app.command()
def get(
    id: Id,
    form: FormOption = Form.TXT,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write to.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="What there is so far.")] = False,
) -> None:
    """Print a transcript."""
    with exits.reported(), Client() as client:
        text = client.text(id, form.value, partial=partial)
        if output:
            files.write_whole(output, text)
        else:
            print(text, end="" if text.endswith("\n") else "\n")


@app.command()
def watch(id: Id) -> None:
    """Print the sentences of a transcription as they come."""
    with exits.reported(), Client() as client:
        for sentence in client.sentences(id):
            show.out.print(f"[dim]{show.duration(sentence.start_ms):>8}[/]  ", end="")
            show.out.print(sentence.text, markup=False)
        job = client.get(id)
        if job.status != COMPLETED:
            raise JobEnded(job)


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="queued, processing, completed, failed or canceled.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, newest first.")] = 20,
    json: Json = False,
) -> None:
    """List transcriptions, newest first."""
    with exits.reported(), Client() as client:
        found = client.page(status=status, tag=tag, limit=limit)
        show.as_json(found.data) if json else show.transcriptions(found.data)


@app.command()
def cancel(ids: Annotated[list[str], typer.Argument(metavar="ID…")]) -> None:
    """Cancel transcriptions; a worker that has one stops within seconds."""
    with exits.reported(), Client() as client:
        for id in ids:
            job = client.cancel(id)
            print(f"{job.id} {'canceling' if not job.ended else job.status}")


@app.command()
def retry(ids: Annotated[list[str], typer.Argument(metavar="ID…")]) -> None:
    """Run failed or canceled transcriptions again."""
    with exits.reported(), Client() as client:
        for id in ids:
            print(f"{client.retry(id).id} queued")


@app.command()
def delete(ids: Annotated[list[str], typer.Argument(metavar="ID…")]) -> None:
    """Delete transcriptions with their audio and text."""
    with exits.reported(), Client() as client:
        for id in ids:
            client.delete(id)
            print(f"{id} deleted")


@app.command()
def models(json: Json = False) -> None:
    """List the models of the service."""
    with exits.reported(), Client() as client:
        found = client.models()
        if json:
            show.as_json(found)
        else:
            show.rows([item.model_dump() for item in found], ("id", "default", "workers", "slots"))


@app.command()
def usage(
    group_by: Annotated[str, typer.Option("--by", help="day, key, tag, model; several with commas.")] = "day",
    start: Annotated[str | None, typer.Option("--from", help="First day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day, YYYY-MM-DD.")] = None,
    json: Json = False,
) -> None:
    """Show what was used."""
    with exits.reported(), Client() as client:
        groups = [item.strip() for item in group_by.split(",") if item.strip()]
        found = client.usage(group_by=groups, start=start, end=end)
        if json:
            show.as_json(found)
        else:
            numbers = [name for name in (found.data[0] if found.data else {}) if name not in groups]
            show.rows(found.data, [*groups, *numbers])


@keys.command("list")
def keys_list(json: Json = False) -> None:
    """List API keys."""
    with exits.reported(), Client() as client:
        found = client.keys()
        if json:
            show.as_json(found)
        else:
            show.rows(found, ("id", "name", "tenant", "scopes", "last_used_at", "expires_at"))


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option("--scope", help="submit, read, admin; several times.")] = None,
) -> None:
    """Make an API key; it is printed this once."""
    with exits.reported(), Client() as client:
        print(client.create_key(name, scopes=scope or ["submit", "read"])["key"])


@keys.command("revoke")
def keys_revoke(id: Annotated[str, typer.Argument(metavar="KEY_ID")]) -> None:
    """End an API key."""
    with exits.reported(), Client() as client:
        client.revoke_key(id)
        print(f"{id} revoked")


@settings.command("show")
def config_show() -> None:
    """Show where the service is taken to be; the key itself is not shown."""
    with exits.reported():
        now = config.load_config()
        print(f"url      {now.url}\napi_key  {'set' if now.api_key else 'not set'}\nfile     {config.config_file()}")


@settings.command("set")
def config_set(
    name: Annotated[str, typer.Argument(help="url or api_key.")],
    value: Annotated[str, typer.Argument(help="Its value; - reads it from standard input.")],
) -> None:
    """Keep a setting in the configuration file, which only you can read."""
    with exits.reported():
        if name not in config.KNOWN:
            raise ConfigurationError(f"there is no setting {name!r}; there are: {', '.join(config.KNOWN)}")
        given = sys.stdin.readline().strip() if value == "-" else value
        path = config.config_file()
        config.write_file(path, config.read_file(path) | {name: given})


def main() -> None:
    """The entry point of the command."""
    app()
