"""Commands for batches: many links in one request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paraqueue.audio_sources import is_link
from paraqueue.cli import exits, files, show
from paraqueue.cli.account import Json
from paraqueue.cli.job_options import JobOptions, takes_job_options
from paraqueue.cli.listing import PAGE, After, Limit, collected, tell_more
from paraqueue.errors import ConfigurationError

if TYPE_CHECKING:
    from paraqueue.models import Batch

app = typer.Typer(no_args_is_help=True, help="Batches: submit many links at once, and see how far they are.")
MOST_LINKS = 100
BatchId = Annotated[str, typer.Argument(help="Id of a batch: batch_…", metavar="BATCH_ID")]


@app.command("submit")
@takes_job_options
def submit(
    links: Annotated[
        list[str],
        typer.Argument(help="Links, or files with one link per line; - is standard input.", metavar="URL|FILE…"),
    ],
    options: JobOptions,
    json: Json = False,
) -> None:
    """Submit up to 100 links in one request.

    Prints the batch's id, and the links that were refused; if any were, the exit status is 1.
    """
    with exits.connected() as client:
        listed = _links(links)
        batch = client.submit_batch(listed, **options.resolved(client))
        refused = [item for item in batch.items if item.error]
        if json:
            show.as_json(batch)
        else:
            print(batch.id)
            for item in refused:
                exits.errors().print(f"paraqueue: {listed[item.index]}: {show.reason(item)}")
        if refused:
            sys.exit(exits.FAILED)


def _links(given: list[str]) -> list[str]:
    links: list[str] = []
    for item in given:
        if is_link(item):
            links.append(item)
        else:
            links += files.lines(item)
    if not 0 < len(links) <= MOST_LINKS:
        raise ConfigurationError(f"a batch has 1 to {MOST_LINKS} links, not {len(links)}")
    return links


@app.command("list")
def list_(
    limit: Limit = 20,
    after: After = None,
    json: Json = False,
) -> None:
    """List batches, newest first."""
    with exits.connected() as client:
        found, after = collected(lambda at, size: client.batches(after=at, limit=size), after, limit, PAGE)
        show.as_json(found) if json else show.table(("id", "status", "done", "failed", "submitted"), map(_row, found))
        tell_more(after)


def _row(batch: Batch) -> dict[str, Any]:
    open_items = batch.counts.get("queued", 0) + batch.counts.get("processing", 0)
    return {
        "id": batch.id,
        "status": batch.status,
        "done": f"{batch.total - open_items}/{batch.total}",
        "failed": batch.counts.get("failed", 0) + batch.counts.get("refused", 0),
        "submitted": (show.moment(batch.created_at), batch.created_at.isoformat()),
    }


@app.command("show")
def show_(id: BatchId, json: Json = False) -> None:
    """Show each link of a batch, with the reasons of failures."""
    with exits.connected() as client:
        batch = client.batch(id)
        if json:
            show.as_json(batch)
        else:
            rows = ({**item.model_dump(), "reason": show.reason(item)} for item in batch.items)
            show.table(("index", "status", "id", "reason"), rows)
