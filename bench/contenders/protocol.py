"""What a contender is, and how its process is told about it. Standard library only: every environment imports this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Spec:
    """A contender and how it runs; travels to its process as JSON.

    kind: a name in `bench.child.KINDS`. bundle: directory with asr, vad and punc; onnx: the same, exported.
    at_once: files worked on at the same time, where the contender can. options: what only this kind knows.
    """

    kind: str
    bundle: str
    device: str = "cpu"
    threads: int = 2
    precision: str = "fp32"
    at_once: int = 1
    onnx: str = ""
    ffmpeg: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of one run over some files; `details` are figures that only this contender knows."""

    texts: list[str]
    words: int
    details: dict[str, Any] = field(default_factory=dict)


class Contender(Protocol):
    """Loaded when it is made; `run` may be called any number of times."""

    def run(self, files: Sequence[str]) -> Outcome:
        """Transcribe audio files, texts in their order."""
        ...

    def stages(self, files: Sequence[str]) -> dict[str, float]:
        """Seconds by stage of a run that may be slower for being looked at; empty where they cannot be known."""
        ...
