"""What the doctor's checks are made of: how each came out, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from common.settings import Settings


class Level(StrEnum):
    """How a check came out. `warn`: it works, but not as it should, or not everything."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check saw, and what to do about it."""

    level: Level
    message: str
    hint: str | None = None


class Look(Protocol):
    """Looks at one thing. May raise ParaqueueError or OSError: a failure too."""

    def __call__(self, settings: Settings, *, deep: bool) -> Found: ...


@dataclass(frozen=True, slots=True)
class Check:
    """A look, and what to do where it fails with an error."""

    look: Look
    hint: str
