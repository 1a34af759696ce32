"""Commands about single transcriptions: their state, their end, and what to do with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from paraqueue.cli import exits, show
from paraqueue.cli.account import Json
from paraqueue.cli.confirming import Yes, confirm
from paraqueue.cli.transcripts import Id, Ids
from paraqueue.errors import JobEnded, ParaqueueError
from paraqueue.statuses import COMPLETED

Seconds = Annotated[float | None, typer.Option(help="Maximum time to wait, in seconds.")]


def status(id: Id, json: Json = False) -> None:
    """Show a transcription."""
    with exits.connected() as client:
        job = client.get(id)
        show.as_json(job) if json else show.details(job)


def wait(id: Id, timeout: Seconds = None, json: Json = False) -> None:
    """Wait until a transcription has ended.

    The exit status says how.
    """
    with exits.connected() as client:
        job = client.wait(id, timeout=timeout)
        show.as_json(job) if json else show.details(job)
        if job.status != COMPLETED:
            raise JobEnded(job)


def watch(id: Id, json: Json = False) -> None:
    """Print the sentences of a transcription as they come.

    With --json, one JSON object per line.
    """
    with exits.connected() as client:
        for sentence in client.sentences(id):
            if json:
                print(sentence.model_dump_json(), flush=True)
                continue
            at = show.coloured(f"{show.duration(sentence.start_ms):>8}", "dim")
            show.out().print(at, sentence.text, sep="  ", soft_wrap=True)
        job = client.get(id)
        if job.status != COMPLETED:
            raise JobEnded(job)


def open_(
    id: Id, show_only: Annotated[bool, typer.Option("--print", help="Print the address; start no browser.")] = False
) -> None:
    """Open a transcription in the console, in the browser."""
    import webbrowser

    with exits.connected() as client:
        address = f"{client.config.url}/#/t/{client.get(id).id}"
        if show_only or not webbrowser.open(address):
            print(address)


def rename(
    id: Id,
    name: Annotated[
        str | None, typer.Argument(help="Leave it out to go back to the name of the recording.", metavar="NAME")
    ] = None,
    json: Json = False,
) -> None:
    """Rename a transcription; its files get the name too."""
    with exits.connected() as client:
        job = client.update(id, name=name)
        show.as_json(job) if json else print(show.name(job))


def tag(
    ids: Ids,
    add: Annotated[list[str] | None, typer.Option("--add", "-a", help="Repeatable.", metavar="TAG")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", "-r", help="Repeatable.", metavar="TAG")] = None,
    json: Json = False,
) -> None:
    """Add tags to transcriptions, and remove tags from them."""
    if not add and not remove:
        raise typer.BadParameter("name tags with --add or --remove", param_hint="--add")
    with exits.connected() as client:
        _each(
            ids,
            lambda id: client.update(id, add_tags=add or (), remove_tags=remove or ()),
            lambda job: ", ".join(job.tags) or "no tags",
            json=json,
        )


def cancel(ids: Ids, json: Json = False) -> None:
    """Cancel transcriptions.

    A worker that has one stops within seconds.
    """
    with exits.connected() as client:
        _each(ids, client.cancel, lambda job: "canceling" if not job.ended else job.status, json=json)


def retry(ids: Ids, json: Json = False) -> None:
    """Run failed or canceled transcriptions again."""
    with exits.connected() as client:
        _each(ids, client.retry, lambda job: job.status, json=json)


def delete(ids: Ids, yes: Yes = False, json: Json = False) -> None:
    """Delete transcriptions with their audio and text.

    On a terminal it asks first.
    """
    confirm(f"Delete {ids[0] if len(ids) == 1 else f'{len(ids)} transcriptions'} with audio and text?", yes)
    with exits.connected() as client:
        _each(ids, client.delete, lambda _: "deleted", json=json)


def _each(ids: list[str], action: Callable[[str], Any], describe: Callable[[Any], str], *, json: bool) -> None:
    """Apply an action to each id. A failure does not stop the others; the exit status is that of the first failure."""
    done: list[dict[str, Any]] = []
    worst: ParaqueueError | None = None
    for id in ids:
        try:
            result = action(id)
            done.append({"id": id, "transcription": result.model_dump(mode="json") if result else None, "error": None})
            if not json:
                print(f"{id} {describe(result)}")
        except ParaqueueError as error:
            worst = worst or error
            done.append({"id": id, "transcription": None, "error": exits.error_text(error)})
            if not json:
                exits.errors().print(f"paraqueue: {id}: {exits.error_text(error)}")
    if json:
        show.as_json(done)
    if worst:
        sys.exit(exits.status_of(worst))
