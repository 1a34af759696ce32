"""Commands that list and search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from paraqueue.cli import exits, show
from paraqueue.cli.account import Json
from paraqueue.cli.dates import begin_of, end_of
from paraqueue.cli.transcripts import Id
from paraqueue.errors import ConfigurationError
from paraqueue.statuses import Sort, Status

if TYPE_CHECKING:
    from paraqueue.models import Hit, NumberedSentence

PAGE = 100
SENTENCES = 1000
# Columns of a usage report by which it may be grouped, and those that stand for a group of another name
DIMENSIONS = {"tenant", "key_id", "key_name", "tag", "day", "model"}
GROUP_COLUMNS = {"key": ("key_name", "key_id")}


Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
Cursor = TypeVar("Cursor")
Cursor_co = TypeVar("Cursor_co", covariant=True)


class Named(Protocol):
    """Something that a tenant keeps under a name."""

    @property
    def id(self) -> str:
        """The id."""

    @property
    def name(self) -> str:
        """The name, unique in its list."""


class PageOf(Protocol[Item_co, Cursor_co]):
    """A page of any list of the API."""

    @property
    def data(self) -> Sequence[Item_co]:
        """The items."""

    @property
    def next(self) -> Cursor_co | None:
        """The cursor of the next page; None on the last one."""


Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")]
After = Annotated[str | None, typer.Option(help="Go on where an earlier list ended, with what it said.")]
From = Annotated[
    str | None, typer.Option("--from", help="Submitted on or after this day or time: 2026-11-01 or 2026-11-01T14:30.")
]
To = Annotated[str | None, typer.Option("--to", help="Submitted up to the end of this day, or before this time.")]


def list_(
    status: Annotated[Status | None, typer.Option(help="Only those in this state.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", "-t", help="Only those with this tag.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only those of this batch.", metavar="BATCH_ID")] = None,
    name: Annotated[str | None, typer.Option(help="Only those whose name contains these words.")] = None,
    start: From = None,
    end: To = None,
    sort: Annotated[Sort, typer.Option(help="The order.")] = "newest",
    limit: Limit = 20,
    after: After = None,
    json: Json = False,
) -> None:
    """List transcriptions, newest first or in another order.

    Not on a terminal, the columns are separated by tabs and have no heading: name, status, milliseconds of audio, time
    of submission, id, reason of a failure.
    """
    with exits.connected() as client:
        filters: dict[str, Any] = {"status": status, "tag": tag, "batch": batch, "name": name, "sort": sort}
        filters |= {"created_from": begin_of(start), "created_to": end_of(end)}
        found, after = collected(lambda at, size: client.page(**filters, after=at, limit=size), after, limit, PAGE)
        show.as_json(found) if json else show.transcriptions(found)
        tell_more(after)


def search(
    words: Annotated[list[str], typer.Argument(help="Words that a sentence contains, all of them.", metavar="WORD…")],
    limit: Limit = 20,
    after: After = None,
    json: Json = False,
) -> None:
    """Search in all transcripts."""
    with exits.connected() as client:
        query = " ".join(words)
        found, after = collected(lambda at, size: client.search(query, after=at, limit=size), after, limit, PAGE)
        if json:
            show.as_json(found)
        else:
            show.table(("name", "at", "sentence", "text", "id"), map(_hit, found))
        tell_more(after)


def _hit(hit: Hit) -> dict[str, Any]:
    at = (show.duration(hit.start_ms), hit.start_ms)
    return {"name": hit.name, "at": at, "sentence": hit.number, "text": hit.snippet, "id": hit.transcription_id}


def collected(
    fetch: Callable[[Cursor | None, int], PageOf[Item, Cursor]], after: Cursor | None, limit: int, page_size: int
) -> tuple[list[Item], Cursor | None]:
    """Return up to `limit` items from page after page, and the cursor of the rest, None if there is none."""
    found: list[Item] = []
    while True:
        page = fetch(after, min(page_size, limit - len(found)))
        found += page.data
        after = page.next
        if after is None or len(found) >= limit:
            return found, after


def id_of(name: str, prefix: str, fetch: Callable[[str | None], PageOf[Named, str]], *, missing: str) -> str:
    """Return the id of the item with this name; what begins with the prefix is an id already.

    Raises ConfigurationError, which says that there is no `missing`.
    """
    if name.startswith(prefix):
        return name
    after = None
    while True:
        page = fetch(after)
        found = next((item.id for item in page.data if item.name == name), None)
        if found is not None:
            return found
        after = page.next
        if after is None:
            raise ConfigurationError(missing)


def tell_more(after: object) -> None:
    """Say on standard error how to go on, if a list was not complete."""
    if after is not None:
        exits.errors().print(f"paraqueue: there are more: --after {after}")


def sentences(
    id: Id,
    after: Annotated[int, typer.Option(help="Number of the sentence before the first one to show.")] = -1,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = SENTENCES,
    json: Json = False,
) -> None:
    """List sentences with their numbers, for `correct`."""
    with exits.connected() as client:
        found, rest = collected(
            lambda at, size: client.sentence_page(id, after=-1 if at is None else at, limit=size),
            after,
            limit,
            SENTENCES,
        )
        if json:
            show.as_json(found)
        else:
            show.table(("number", "at", "speaker", "text"), map(_sentence, found))
        tell_more(rest)


def _sentence(sentence: NumberedSentence) -> dict[str, Any]:
    at = (show.duration(sentence.start_ms), sentence.start_ms)
    return {"number": sentence.number, "at": at, "speaker": sentence.speaker, "text": sentence.text}


def models(json: Json = False) -> None:
    """List the models of the service."""
    with exits.connected() as client:
        models = client.models()
        if json:
            show.as_json(models)
        else:
            show.table(("id", "default", "workers", "slots"), (item.model_dump() for item in models))


def usage(
    group_by: Annotated[str, typer.Option("--by", help="day, key, tag, model; several with commas.")] = "day",
    start: Annotated[
        str | None, typer.Option("--from", help="First day or time, in UTC. Default: the first of this month.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day, or the time of the end, in UTC.")] = None,
    json: Json = False,
) -> None:
    """Show the usage of the tenant. Days are those of UTC, as in the service's report."""
    with exits.connected() as client:
        groups = [item.strip() for item in group_by.split(",") if item.strip()]
        report = client.usage(group_by=groups, start=begin_of(start, UTC), end=end_of(end, UTC))
        if json:
            show.as_json(report)
        else:
            chosen = [name for group in groups for name in GROUP_COLUMNS.get(group, (group,))]
            numbers = [name for name in (report.data[0] if report.data else {}) if name not in DIMENSIONS]
            show.table([*chosen, *numbers], report.data)
