"""Computes how much audio a core transcribes per day from measured processor times: the tables of `docs/sizing.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report import Column, Table

HOUR_SECONDS = 3600.0
DAY_HOURS = 24.0
# The planned utilisation: jobs do not arrive evenly, and other processes run too.
PLANNED_LOAD = 0.6
ENGINE = {
    "fp32": "ours, 8 files at once",
    "int8": "ours int8, 8 files at once",
    "FunASR's AutoModel, fp32, for comparison": "FunASR AutoModel",
}
SERVICE = "API to stored transcript"


def page_part(content: Mapping[str, Any]) -> str:
    """The table and the machine it was measured on."""
    table = Table(
        "",
        [
            Column("what", ""),
            Column("cpu", "processor seconds for an hour of audio", digits=0),
            Column("full", "hours of audio in a day, one core, always busy", digits=0),
            Column("planned", f"the same at {PLANNED_LOAD:.0%} load", digits=0),
            Column("rss", "memory, MiB", digits=0),
        ],
    )
    rows = {what: _row(content, "Whole pipeline", name) for what, name in ENGINE.items()}
    rows["fp32, as a worker of the whole service"] = _row(content, "Whole service", SERVICE)
    for what, row in rows.items():
        seconds = row["cpu"]["median"] / _audio_seconds(row["audio"]) * HOUR_SECONDS
        full = HOUR_SECONDS / seconds * DAY_HOURS
        table.add(what=what, cpu=seconds, full=full, planned=full * PLANNED_LOAD, rss=row["rss"])
    conditions = content["conditions"][_table(content, "Whole pipeline")["conditions"]]
    machine = ", ".join(str(conditions[name]) for name in ("processor", "memory", "measured"))
    audio = ", ".join(dict.fromkeys(row["audio"] for row in rows.values()))
    return f"\n{table.markdown()}\n\nMeasured on {machine}, audio: {audio}, GPU: {conditions['gpu']}.\n\n"


def _table(content: Mapping[str, Any], title: str) -> Mapping[str, Any]:
    return next(table for table in content["tables"] if table["title"].startswith(title))


def _row(content: Mapping[str, Any], title: str, contender: str) -> Mapping[str, Any]:
    return next(row for row in _table(content, title)["rows"] if row["contender"] == contender)


def _audio_seconds(description: str) -> float:
    """Parse the total seconds of `8 x 20 s`."""
    files, _, length = description.removesuffix(" s").partition(" x ")
    return float(files) * float(length)
