"""Terminal output of the commands; `--json` prints the same data as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from admin.checks import Level
from admin.doctor import Result
from common.jobs import Stuck, StuckKind, WorkerState
from common.keys import ApiKey
from common.webhooks import Overdue

out = Console(highlight=False, soft_wrap=True)
COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
WHY = {
    StuckKind.NO_WORKER: (
        "{count} queued, and no live worker serves this model",
        "start a worker with PARAQUEUE_MODEL={subject}, or undrain one",
    ),
    StuckKind.NOT_TAKEN: (
        "announced, and no worker took it",
        "is Redis the same one for API and workers? see the workers' logs; `requeue` announces it anew",
    ),
    StuckKind.NO_PROGRESS: (
        "{worker} renews its lease, but has committed no part for so long",
        "see that worker's log; `requeue` gives the job to another one",
    ),
    StuckKind.LEASE_EXPIRED: (
        "{worker} is silent, and no sweep took the job back",
        "is a light worker running, and beat?",
    ),
    StuckKind.SUSPECT: (
        "two workers died with it, so it waits for a worker of its own",
        "see the attempts' logs for why; `requeue` lifts the suspicion, `paraqueue cancel` ends it",
    ),
}
OVERDUE = ("{count} webhooks are due and not sent", "is a light worker running? does the receiver answer?")


@dataclass(frozen=True, slots=True)
class Reason:
    """A description of something that is stuck."""

    kind: str
    subject: str
    seconds: float
    why: str
    todo: str


def as_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        plain = {name: _plain(item) for name, item in asdict(value).items()}
        return plain | ({"id": value.public_id} if isinstance(value, ApiKey) else {})
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, frozenset)):
        return [_plain(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]
    if isinstance(value, (datetime, UUID)):
        return value.isoformat() if isinstance(value, datetime) else str(value)
    return value


def results(checked: Sequence[Result]) -> None:
    """Print one line per check."""
    width = max((len(result.name) for result in checked), default=0)
    for result in checked:
        out.print(f"[{COLOURS[result.level]}]{result.level.value:<4}[/]  {result.name:<{width}}  ", end="")
        out.print(f"{result.message}{f' → {result.hint}' if result.hint else ''}", markup=False)


def workers(known: Iterable[WorkerState]) -> None:
    """Print a table of workers."""
    table = _table("worker", "state", "model", "device", "jobs", "heard of")
    for item in known:
        worker = item.worker
        state = "silent" if not item.alive else "draining" if item.draining else "ready"
        table.add_row(
            worker.id,
            state + (" (then ends)" if item.drain == "end" else ""),
            f"{worker.model} {worker.precision}",
            worker.device,
            f"{item.running}/{worker.slots}",
            f"{span(item.silent_seconds)} ago",
        )
    _whole(table)


def keys(api_keys: Iterable[ApiKey]) -> None:
    """Print a table of keys."""
    table = _table("id", "name", "tenant", "scopes", "begins", "state", "last used")
    for key in api_keys:
        ends = f"until {_moment(key.expires_at)}" if key.expires_at else "valid"
        table.add_row(
            key.public_id,
            key.name.replace("[", r"\["),
            key.tenant,
            ",".join(sorted(key.scopes)),
            f"{key.hint}…",
            "revoked" if key.revoked_at else ends,
            _moment(key.last_used_at),
        )
    _whole(table)


def reason_of(item: Stuck | Overdue) -> Reason:
    """Explain why an item is stuck, and what to do about it."""
    if isinstance(item, Overdue):
        why, todo = OVERDUE
        return Reason("deliveries_overdue", item.lane, item.seconds, why.format(count=item.count), todo)
    why, todo = (text.format(**asdict(item)) for text in WHY[item.kind])
    return Reason(item.kind.value, item.subject, item.seconds, why, todo)


def reasons(items: Sequence[Reason]) -> None:
    """Print one line per reason."""
    if not items:
        print("nothing is stuck")
    for item in items:
        out.print(f"{item.subject}  {span(item.seconds)}: {item.why} → {item.todo}", markup=False)


def span(seconds: float) -> str:
    """Format a duration in its largest unit."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _moment(when: datetime | None) -> str:
    return when.astimezone().strftime("%Y-%m-%d %H:%M") if when else "–"


def _whole(table: Table) -> None:
    """Print the table at full width and let the terminal wrap it: a truncated id is useless."""
    wide = Console(highlight=False, width=1000)
    wide.width = max(out.width, Measurement.get(wide, wide.options, table).maximum)
    wide.print(table)


def _table(*titles: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table
