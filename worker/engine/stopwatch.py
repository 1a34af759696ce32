"""Measures the time that a job spends in each stage of the engine, as plain numbers for the caller to report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

DECODE, VAD, RECOGNISE, PUNCTUATE, SPEAKERS = "decode", "vad", "recognise", "punctuate", "speakers"
Result = TypeVar("Result")


@dataclass(slots=True)
class Stage:
    """A stage that alternates with others: total time, start of the first and end of the last interval."""

    seconds: float
    began_ns: int
    """Nanoseconds since 1970, like all fields that end with `_ns`."""
    ended_ns: int


class Stopwatch:
    """Measures the stages of one job; for the thread that runs it.

    The time is that of this thread: `recognise` is its wait for the device, which serves other jobs meanwhile.
    """

    def __init__(self) -> None:
        self._stages: dict[str, Stage] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Measure an interval of a stage; stages do not nest."""
        began, began_ns = time.perf_counter(), time.time_ns()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            stage = self._stages.get(name)
            if stage is None:
                stage = self._stages[name] = Stage(0.0, began_ns, began_ns)
            stage.seconds += seconds
            stage.ended_ns = began_ns + int(seconds * 1e9)

    def call(self, name: str, function: Callable[..., Result], *arguments: object) -> Result:
        """Make a call, measured as an interval of a stage."""
        with self.time(name):
            return function(*arguments)

    def take(self) -> dict[str, Stage]:
        """The stages since the previous `take`."""
        stages, self._stages = self._stages, {}
        return stages
