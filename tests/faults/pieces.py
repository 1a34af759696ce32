"""A soak in pieces: each run adds its counts to a file and continues what earlier ones did; several may run at once."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.report import RESULTS

PIECES = RESULTS / "soak_pieces.json"
# What must not happen, by the names of the figures; the last is an assertion of a fault's own.
NOTHING = ("lost", "differing", "webhooks_lost", "orphans", "left_behind", "stuck", "complaints")


@dataclass
class Row:
    """One fault of the soak."""

    fault: str
    storage: str
    seconds: float = 0.0
    recovery_seconds: float | None = None
    taken_back_seconds: list[float] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    complaint: str = ""

    def __str__(self) -> str:
        recovery = "struck nothing" if self.recovery_seconds is None else f"recovered in {self.recovery_seconds:.1f} s"
        return f"{self.fault:32} {recovery:24} took {self.seconds:5.1f} s {self.complaint}".rstrip()


@dataclass(frozen=True)
class Audio:
    """Seconds of audio, and how many of them were worked on more than once."""

    seconds: float = 0.0
    twice_seconds: float = 0.0
    attempts: int = 0
    lost_attempts: int = 0


@dataclass(frozen=True)
class Piece:
    """What one run of the soak counted, and its conditions; `counts`: jobs, and what must not happen."""

    conditions: dict[str, Any]
    rows: list[Row]
    counts: dict[str, int]
    audio: Audio

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Piece:
        """Read what `save` wrote."""
        rows = [Row(**row) for row in stored["rows"]]
        return cls(stored["conditions"], rows, stored["counts"], Audio(**stored["audio"]))


def load(path: Path = PIECES) -> list[Piece]:
    """The pieces so far, oldest first."""
    if not path.exists():
        return []
    return [Piece.from_json(stored) for stored in json.loads(path.read_text("utf-8"))]


def add(piece: Piece, path: Path = PIECES) -> list[Piece]:
    """Add a piece to the file and return all that are in it; runs may do so at the same time."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        together = [*load(path), piece]
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(one) for one in together], ensure_ascii=False, indent=1) + "\n", "utf-8")
        fresh.replace(path)
    finally:
        os.close(directory)
    return together


def caused(pieces: Sequence[Piece]) -> Counter[tuple[str, str]]:
    """How often each fault was caused so far, by its name and the storage."""
    return Counter((row.fault, row.storage) for piece in pieces for row in piece.rows)
