"""Output: tables on a terminal, TSV for programs; with `--json`, the service's response as JSON instead."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.text import Text

    from paraqueue.models import AudioTrack, BatchItem, RecordingWarning, Transcription

# Columns that are not cut
WHOLE = ("id", "status", "audio", "submitted")
COLOURS = {"completed": "green", "failed": "red", "canceled": "yellow", "processing": "cyan", "queued": "blue"}


@cache
def out() -> Console:
    """Standard output."""
    return console()


def console(**options: Any) -> Console:
    """A console that prints text as it is: names and messages may contain what rich takes for markup or emoji."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, **options)


def as_json(value: BaseModel | Iterable[BaseModel] | Any) -> None:
    """Print one JSON document to standard output."""
    print(json.dumps(_plain(value), ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def duration(milliseconds: int | None) -> str:
    """Format a duration as 1:02:03."""
    if milliseconds is None:
        return "–"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def moment(when: datetime | None) -> str:
    """Format a time in the local time zone."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S") if when else "–"


def coloured(text: str, style: str) -> Text:
    """Text in a colour, which is left out where the output is not a terminal."""
    from rich.text import Text

    return Text(text, style)


def state(job: Transcription) -> Text:
    """The status with its details, in colour."""
    text: str = job.status
    if job.status == "processing":
        text += f" {job.progress:.0%}" if job.progress is not None else f" ({job.stage})"
    elif job.status == "queued" and job.queue_position is not None:
        text += f" #{job.queue_position}"
    return coloured(text, COLOURS.get(job.status, "white"))


def name(job: Transcription) -> str:
    """The name by which a person recognises the audio."""
    return job.name or job.source.name or job.source.url or "–"


def transcriptions(jobs: Iterable[Transcription]) -> None:
    """Print transcriptions, names first; with the reason where one failed."""
    table(
        ("name", "status", "audio", "submitted", "id", "reason"),
        (
            {
                "name": name(job),
                "status": (state(job), job.status),
                "audio": (duration(job.audio_ms), job.audio_ms),
                "submitted": (moment(job.created_at), job.created_at.isoformat()),
                "id": job.id,
                "reason": reason(job),
            }
            for job in jobs
        ),
    )


def reason(failed: Transcription | BatchItem) -> str | None:
    """Why a transcription failed, or a link was refused."""
    return f"{failed.error.message} ({failed.error.code})" if failed.error else None


def details(job: Transcription) -> None:
    """Print the details of a transcription."""
    rows: dict[str, str | Text] = {
        "id": job.id,
        "status": state(job),
        "audio": f"{name(job)}, {duration(job.audio_ms)}",
        "model": job.model,
        "tags": ", ".join(job.tags) or "–",
        "submitted": moment(job.created_at),
        "started": moment(job.started_at),
        "ended": moment(job.finished_at),
        "attempts": str(job.attempt),
    }
    if job.eta_seconds is not None and not job.ended:
        rows["done in"] = f"about {duration(round(job.eta_seconds * 1000))}"
    if job.result and job.result.rtf:
        rows["speed"] = f"{1 / job.result.rtf:.0f} x real time"
    if len(job.tracks) > 1:
        rows["audio tracks"] = "\n".join(_track(item) for item in job.tracks)
    if job.warnings:
        rows["warnings"] = "\n".join(_warning(item) for item in job.warnings)
    if job.error:
        rows["error"] = coloured(f"{job.error.message} ({job.error.code})", "red")
    from rich.table import Table

    shown = Table(box=None, show_header=False, pad_edge=False)
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for title, value in rows.items():
        shown.add_row(title, value)
    out().print(shown)


def _track(track: AudioTrack) -> str:
    parts = [str(track.index), track.language, track.title, f"{track.channels} ch"]
    what = "transcribed" if track.transcribed else "not transcribed"
    return ", ".join([*filter(None, parts), what])


def _warning(warning: RecordingWarning) -> str:
    where = "" if warning.start_ms is None else f"{duration(warning.start_ms)}: "
    return f"{where}{warning.message} ({warning.code})"


def table(columns: Sequence[str], items: Iterable[dict[str, Any]]) -> None:
    """Print rows as a table on a terminal, and otherwise as TSV without a heading.

    A cell is a value, or a pair: what people see, and the value for programs.
    """
    if not out().is_terminal:
        for item in items:
            print("\t".join(_field(item.get(column)) for column in columns))
        return
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        whole = column in WHOLE
        shown.add_column(column.replace("_", " "), overflow="fold" if number == 0 else "ellipsis", no_wrap=whole)
    for item in items:
        shown.add_row(*[_cell(item.get(column)) for column in columns])
    out().print(shown)


def _field(value: Any) -> str:
    """Return a cell of TSV: without tabs and line breaks, empty for None."""
    if isinstance(value, tuple):
        value = value[1]
    if value is None:
        return ""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.split())


def _cell(value: Any) -> str | Text:
    if isinstance(value, tuple):
        shown: str | Text = value[0]
        return shown
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
