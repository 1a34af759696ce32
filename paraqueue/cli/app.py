"""The command line: each command asks the service one thing and prints it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any

import typer

from paraqueue.cli import account, exits, files, show
from paraqueue.cli.account import Json
from paraqueue.cli.local import transcribe_here
from paraqueue.cli.submitting import Done, Wish, submit_all
from paraqueue.client import Client
from paraqueue.errors import JobEnded, ParaqueueError
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
app.add_typer(account.keys, name="keys")
app.add_typer(account.settings, name="config")


class Form(StrEnum):
    """Forms of a transcript."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    ASS = "ass"
    JSON = "json"


class Channels(StrEnum):
    """What to do with several channels."""

    MIX = "mix"
    SPLIT = "split"
    AUTO = "auto"


Id = Annotated[str, typer.Argument(help="The id of a transcription: tr_…", metavar="ID")]
FormOption = Annotated[Form, typer.Option("--format", "-f", help="Form of the transcript.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", "-t", help="May be given several times.")]
Seconds = Annotated[float | None, typer.Option(help="Longest time to wait, in seconds.")]


def _version(asked: bool) -> None:
    if asked:
        try:
            print(f"paraqueue {version_of('paraqueue')}")
        except PackageNotFoundError:
            print("paraqueue, from a checkout")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What stands before a command."""


@app.command()
def submit(
    sources: Annotated[list[str], typer.Argument(help="Files, folders, or links.", metavar="FILE|DIR|URL…")],
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait, and print or write the transcripts.")] = False,
    form: FormOption = Form.TXT,
    directory: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write transcripts to; implies --wait.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model than the service's own.")] = None,
    channels: Annotated[
        Channels | None, typer.Option(help="split: each channel by itself; auto: where they are different speakers.")
    ] = None,
    audio_track: Annotated[
        str | None, typer.Option(help="Of a file with several: default, an index from 0, a language, or all.")
    ] = None,
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
            "audio_track": audio_track,
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
    model: Annotated[
        str | None, typer.Option(help="Another model; with --local the small bundled one if none.")
    ] = None,
    timeout: Seconds = None,
) -> None:
    """Transcribe one recording and print the transcript."""
    if local:
        sys.exit(transcribe_here(source, form.value, model))
    submit([source], wait=True, form=form, model=model, timeout=timeout)


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
def watch(id: Id, json: Json = False) -> None:
    """Print the sentences of a transcription as they come; with --json one JSON object a line."""
    with exits.reported(), Client() as client:
        for sentence in client.sentences(id):
            if json:
                print(sentence.model_dump_json(), flush=True)
                continue
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


Ids = Annotated[list[str], typer.Argument(metavar="ID…")]


@app.command()
def cancel(ids: Ids, json: Json = False) -> None:
    """Cancel transcriptions; a worker that has one stops within seconds."""
    with exits.reported(), Client() as client:
        _each(ids, client.cancel, lambda job: "canceling" if not job.ended else job.status, json=json)


@app.command()
def retry(ids: Ids, json: Json = False) -> None:
    """Run failed or canceled transcriptions again."""
    with exits.reported(), Client() as client:
        _each(ids, client.retry, lambda job: job.status, json=json)


@app.command()
def delete(ids: Ids, json: Json = False) -> None:
    """Delete transcriptions with their audio and text."""
    with exits.reported(), Client() as client:
        _each(ids, client.delete, lambda _: "deleted", json=json)


def _each(ids: list[str], action: Callable[[str], Any], told: Callable[[Any], str], *, json: bool) -> None:
    """What fails does not stop the others; the exit status is that of the first failure."""
    done: list[dict[str, Any]] = []
    worst: ParaqueueError | None = None
    for id in ids:
        try:
            result = action(id)
            done.append({"id": id, "transcription": result.model_dump(mode="json") if result else None, "error": None})
            if not json:
                print(f"{id} {told(result)}")
        except ParaqueueError as error:
            worst = worst or error
            done.append({"id": id, "transcription": None, "error": exits.told(error)})
            if not json:
                exits.errors.print(f"paraqueue: {id}: {exits.told(error)}", markup=False)
    if json:
        show.as_json(done)
    if worst:
        sys.exit(exits.status_of(worst))


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


def main() -> None:
    """The entry point of the command."""
    app()
