"""The course of one attempt: how long its stages took, for the database, the metrics and the trace."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from common.job_states import Stage
from common.telemetry import tracing
from worker.engine.stopwatch import Stopwatch
from worker.transcription.lease import RunningJob

COMMIT = "commit"


class AttemptTimer:
    """Times of the stages of an attempt; of those of the engine too, which take turns within `transcribing`."""

    def __init__(self) -> None:
        self.stage_ms: dict[str, int] = {}
        self.engine = Stopwatch()
        self._inner: dict[str, float] = defaultdict(float)

    @property
    def stage_seconds(self) -> dict[str, float]:
        """All stages, for the metrics."""
        self.end_part()
        return {name: took_ms / 1000 for name, took_ms in self.stage_ms.items()} | self._inner

    @contextmanager
    def stage(self, hold: RunningJob, stage: Stage) -> Iterator[None]:
        """Time a stage, and say that the job is in it."""
        hold.stage = stage
        began = time.monotonic()
        try:
            with tracing.span(stage.value):
                try:
                    yield
                finally:
                    self.end_part()
        finally:
            took_ms = round((time.monotonic() - began) * 1000)
            self.stage_ms[stage.value] = self.stage_ms.get(stage.value, 0) + took_ms

    @contextmanager
    def commit(self) -> Iterator[None]:
        """A part is committed, which ends the engine's stages of that part."""
        self.end_part()
        began = time.monotonic()
        try:
            with tracing.span(COMMIT):
                yield
        finally:
            self._inner[COMMIT] += time.monotonic() - began

    def end_part(self) -> None:
        """Each stage of the engine becomes one span: from the first to the last of its turns in this part.

        They overlap, for they take turns; `paraqueue.busy_seconds` says how much of it was spent there.
        """
        for name, stage in self.engine.take().items():
            self._inner[name] += stage.seconds
            tracing.record(name, stage.began_ns, stage.ended_ns, {"paraqueue.busy_seconds": round(stage.seconds, 6)})
