"""What the pipeline's tests run, and how they compare transcripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from common.transcript.values import Part, Sentence
from training.speech import SAMPLE_RATE
from worker.engine.audio import DecodeLimits
from worker.engine.engine import Engine
from worker.transcription.pipeline import (
    BLOCK_SAMPLES,
    Hooks,
    PipelineResult,
    Request,
    transcribe,
)
from worker.transcription.stop import StopSignal

LIMITS = DecodeLimits(max_duration_ms=None, cpu_seconds=600, memory_bytes=2**31, idle_timeout_seconds=30)
WHOLE = 1e6  # seconds: longer than any audio here
BLOCK_MS = BLOCK_SAMPLES * 1000 // SAMPLE_RATE


@dataclass
class Told:
    """What a run handed over."""

    parts: list[Part] = field(default_factory=list)
    progress: list[tuple[int, int | None]] = field(default_factory=list)
    ending: PipelineResult | None = None

    @property
    def everything(self) -> list[Part]:
        """The parts with the last one."""
        assert self.ending is not None
        return [*self.parts, self.ending.last]

    @property
    def sentences(self) -> list[Sentence]:
        """All sentences in the order of the parts."""
        return [sentence for part in self.everything for sentence in part.sentences]


def run(
    engine: Engine,
    path: Path,
    part_seconds: float = WHOLE,
    *,
    split: bool = False,
    resume: Part | None = None,
    signal: StopSignal | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    log: Told | None = None,
) -> Told:
    log = log or Told()

    def progress(done: int, total: int | None) -> None:
        log.progress.append((done, total))
        if on_progress:
            on_progress(done, total)

    hooks = Hooks(log.parts.append, progress, signal or StopSignal())
    request = Request("job", path, LIMITS, part_seconds, resume, channels="split" if split else "mix")
    log.ending = transcribe(engine, request, hooks)
    return log


def same(got: list[Sentence], wanted: list[Sentence]) -> bool:
    """Whether two transcripts are the same to the letter and to the millisecond.

    Confidence is a floating-point number out of batches of different shapes: it is the same but for rounding.
    """
    exact = [[replace(item, confidence=0, words=()) for item in items] for items in (got, wanted)]
    words = [[word for item in items for word in item.words] for items in (got, wanted)]
    placed = [[replace(word, confidence=0) for word in each] for each in words]
    sure = [
        np.array([item.confidence for item in items] + [word.confidence for word in each])
        for items, each in zip((got, wanted), words, strict=True)
    ]
    return exact[0] == exact[1] and placed[0] == placed[1] and bool(np.all(np.abs(sure[0] - sure[1]) < 1e-4))


def same_parts(got: list[Part], wanted: list[Part]) -> bool:
    """Whether the same sentences were committed at the same places."""
    places = [
        [(part.number, part.start_ms, part.end_ms, len(part.sentences), part.last) for part in parts]
        for parts in (got, wanted)
    ]
    sentences = [[sentence for part in parts for sentence in part.sentences] for parts in (got, wanted)]
    return places[0] == places[1] and same(*sentences)


def children() -> set[int]:
    """Processes that this one, any thread of it, started and that have not ended."""
    return children_of("self")


def children_of(process: int | str) -> set[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}
