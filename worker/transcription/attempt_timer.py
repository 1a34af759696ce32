"""Stage timings of one attempt, for the database, the metrics and the trace."""

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
    """Times the stages of an attempt, including the engine's stages, which alternate within `transcribing`."""

    def __init__(self) -> None:
        self.stage_ms: dict[str, int] = {}
        self.engine = Stopwatch()
        self._inner: dict[str, float] = defaultdict(float)

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds per stage, for the metrics."""
        self.end_part()
        return {name: took_ms / 1000 for name, took_ms in self.stage_ms.items()} | self._inner

    @contextmanager
    def stage(self, hold: RunningJob, stage: Stage) -> Iterator[None]:
        """Time a stage and report it as the job's current one."""
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
        """Time the commit of a part, which ends the engine's stages of that part."""
        self.end_part()
        began = time.monotonic()
        try:
            with tracing.span(COMMIT):
                yield
        finally:
            self._inner[COMMIT] += time.monotonic() - began

    def end_part(self) -> None:
        """Record each engine stage as one span, from the start of its first to the end of its last interval in a part.

        The spans overlap because the stages alternate; `paraqueue.busy_seconds` is the time spent in the stage.
        """
        for name, stage in self.engine.take().items():
            self._inner[name] += stage.seconds
            tracing.record(name, stage.began_ns, stage.ended_ns, {"paraqueue.busy_seconds": round(stage.seconds, 6)})
