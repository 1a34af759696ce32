"""The command line. What takes long to import is imported by the commands that need it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paraqueue import config
from paraqueue.cli import (
    account,
    batches,
    correcting,
    exits,
    files,
    jobs,
    listing,
    shares,
    show,
    speakers,
    summaries,
    transcripts,
    vocabularies,
)
from paraqueue.cli.account import Json
from paraqueue.cli.job_options import Dedupe, JobOptions, LanguageOption, takes_job_options
from paraqueue.cli.jobs import Seconds
from paraqueue.cli.local import transcribe_here
from paraqueue.cli.transcripts import Form, FormOption, check_printable

if TYPE_CHECKING:
    from paraqueue.cli.submitting import Done

app = typer.Typer(
    name="paraqueue",
    no_args_is_help=True,
    help="Transcribe long audio with a Paraqueue service. Set its address with PARAQUEUE_URL and the key "
    "with PARAQUEUE_API_KEY, or use `paraqueue config set`.",
    epilog="Exit status: 0 success, 1 failed or refused, 2 usage error, 3 not allowed, 4 service "
    "unreachable, 5 not found, 6 still running when the wait ended.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich's takes longer to import than everything else
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show_version: bool) -> None:
    if show_version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as version_of

        try:
            print(f"paraqueue {version_of('paraqueue')}")
        except PackageNotFoundError:
            print("paraqueue, from a checkout")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    profile: Annotated[
        str | None, typer.Option("--profile", help="A profile of the configuration file, or PARAQUEUE_PROFILE.")
    ] = None,
) -> None:
    """Options before the command."""
    if profile is not None:
        os.environ[config.PROFILE_VARIABLE] = profile
        for variable in (config.URL_VARIABLE, config.KEY_VARIABLE):  # what is typed comes first
            os.environ.pop(variable, None)


@app.command()
@takes_job_options
def submit(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, or links.", metavar="FILE|DIR|URL…")],
    options: JobOptions,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait, and print or write the transcripts.")] = False,
    form: FormOption = Form.TXT,
    directory: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write transcripts to; implies --wait.")
    ] = None,
    timeout: Seconds = None,
    json: Json = False,
) -> None:
    """Submit audio: files, folders or links.

    Several files go at once, and interrupted uploads are continued.
    """
    from paraqueue.cli.submitting import Wish, submit_all

    check_printable(form, wait and directory is None, "a folder")
    with exits.reported():
        chosen = files.expanded(sources)
    _tell_skipped(chosen.skipped)
    with exits.connected() as client:
        wish = Wish(options.resolved(client), wait or directory is not None, form.value, directory, timeout)
        done = submit_all(client, chosen.found, wish, quiet=json or not exits.errors().is_terminal)
    _tell(done, json=json)
    worst = next((item.error for item in done if item.error), None)
    if worst:
        sys.exit(exits.status_of(worst))


def _tell_skipped(skipped: list[str]) -> None:
    """Name the files of folders that are not sent, and count them."""
    if not skipped:
        return
    what = "1 file that is" if len(skipped) == 1 else f"{len(skipped)} files that are"
    exits.errors().print(f"paraqueue: skipped {what} not audio or video:")
    for path in skipped:
        exits.errors().print(f"  {path}")


def _tell(done: list[Done], *, json: bool) -> None:
    if json:
        show.as_json(
            [
                {
                    "source": item.source,
                    "transcription": item.job.model_dump(mode="json") if item.job else None,
                    "path": str(item.path) if item.path else None,
                    "text": item.text,
                    "error": exits.error_text(item.error) if item.error else None,
                }
                for item in done
            ]
        )
        return
    for item in done:
        if item.error:
            exits.errors().print(f"paraqueue: {item.source}: {exits.error_text(item.error)}")
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
    model: Annotated[
        str | None, typer.Option(help="Another model; with --local the small bundled one if none.")
    ] = None,
    language: LanguageOption = None,
    dedupe: Dedupe = False,
    timeout: Seconds = None,
) -> None:
    """Transcribe one recording and print the transcript."""
    check_printable(form, True, "a folder, and use `paraqueue submit`")
    if local:
        sys.exit(transcribe_here(source, form.value, model))
    submit([source], wait=True, form=form, model=model, language=language, dedupe=dedupe, timeout=timeout)


app.command()(transcripts.get)
app.command()(transcripts.export)
app.command()(jobs.status)
app.command()(jobs.wait)
app.command()(jobs.watch)
app.command("list")(listing.list_)
app.command()(listing.search)
app.command()(listing.sentences)
app.command()(correcting.correct)
app.command()(correcting.replace)
app.command()(correcting.split)
app.command()(correcting.merge)
app.command("confirm")(correcting.confirm_words)
app.command()(correcting.history)
app.add_typer(shares.app, name="share")
app.add_typer(speakers.app, name="speakers")
app.add_typer(batches.app, name="batch")
app.add_typer(vocabularies.app, name="vocabularies")
app.add_typer(summaries.app, name="summary")
app.command("open")(jobs.open_)
app.command()(jobs.rename)
app.command()(jobs.tag)
app.command()(jobs.cancel)
app.command()(jobs.retry)
app.command()(jobs.delete)
app.command()(listing.models)
app.command()(listing.usage)
app.add_typer(account.keys, name="keys")
app.add_typer(account.settings, name="config")


def main() -> None:
    """The entry point of the command."""
    app()
