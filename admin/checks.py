"""Building blocks of the doctor's checks: the result of each check and a hint for fixing it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from common.settings import Settings


class Level(StrEnum):
    """Result level of a check. `warn`: it works, but not as it should, or only in part."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found, and how to fix it."""

    level: Level
    message: str
    hint: str | None = None


class Look(Protocol):
    """The function of a check. It may raise ParaqueueError or OSError, which also count as a failure."""

    def __call__(self, settings: Settings, *, deep: bool) -> Found:
        """Look; `deep` allows what takes long."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """A check function, and a hint for the case that it raises an error."""

    look: Look
    hint: str
