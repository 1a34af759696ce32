"""How things look in a terminal; `--json` prints what the service said, one JSON document, instead."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from paraqueue.models import RecordingWarning, Transcription

out = Console(highlight=False)
COLOURS = {"completed": "green", "failed": "red", "canceled": "yellow", "processing": "cyan", "queued": "blue"}


def as_json(value: BaseModel | Iterable[BaseModel] | Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def duration(milliseconds: int | None) -> str:
    """1:02:03."""
    if milliseconds is None:
        return "–"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def moment(when: datetime | None) -> str:
    """In the time of this computer."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S") if when else "–"


def state(job: Transcription) -> str:
    """Status with what is known of it, in colour."""
    told = job.status
    if job.status == "processing":
        told += f" {job.progress:.0%}" if job.progress is not None else f" ({job.stage})"
    elif job.status == "queued" and job.queue_position is not None:
        told += f" #{job.queue_position}"
    return f"[{COLOURS.get(job.status, 'white')}]{told}[/]"


def name(job: Transcription) -> str:
    """What a person knows the audio by."""
    return job.source.name or job.source.url or "–"


def transcriptions(jobs: Iterable[Transcription]) -> None:
    """A table of them."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("id", "status", "audio", "submitted", "name"):
        table.add_column(title, overflow="fold" if title == "name" else "ellipsis", no_wrap=title != "name")
    for job in jobs:
        table.add_row(job.id, state(job), duration(job.audio_ms), moment(job.created_at), _escaped(name(job)))
    out.print(table)


def details(job: Transcription) -> None:
    """All that a person asks of one."""
    rows = {
        "id": job.id,
        "status": state(job),
        "audio": f"{_escaped(name(job))}, {duration(job.audio_ms)}",
        "model": job.model,
        "tags": _escaped(", ".join(job.tags)) or "–",
        "submitted": moment(job.created_at),
        "started": moment(job.started_at),
        "ended": moment(job.finished_at),
        "attempts": str(job.attempt),
    }
    if job.eta_seconds is not None and not job.ended:
        rows["done in"] = f"about {duration(round(job.eta_seconds * 1000))}"
    if job.result and job.result.rtf:
        rows["speed"] = f"{1 / job.result.rtf:.0f} x real time"
    if job.warnings:
        rows["warnings"] = "\n".join(_warning(item) for item in job.warnings)
    if job.error:
        rows["error"] = f"[red]{_escaped(job.error.message)}[/] ({job.error.code})"
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for title, value in rows.items():
        table.add_row(title, value)
    out.print(table)


def _warning(warning: RecordingWarning) -> str:
    where = "" if warning.start_ms is None else f"{duration(warning.start_ms)}: "
    return _escaped(f"{where}{warning.message} ({warning.code})")


def rows(items: Iterable[dict[str, Any]], columns: Iterable[str]) -> None:
    """A table of plain rows."""
    titles = list(columns)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title.replace("_", " "))
    for item in items:
        table.add_row(*[_escaped(_cell(item.get(title))) for title in titles])
    out.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _escaped(text: str) -> str:
    """Names come from outside: they are no markup."""
    return text.replace("[", r"\[")
