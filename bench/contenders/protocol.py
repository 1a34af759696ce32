"""The contender interface and its specification. Standard library only, because every environment imports this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Spec:
    """A contender and how it runs; travels to its process as JSON.

    kind: a name in `bench.child.KINDS`. bundle: directory with asr, vad and punc; onnx: the same, exported.
    at_once: files processed concurrently, if the contender supports it. options: options specific to this kind.
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
    """The result of one run over some files; `details` are figures specific to this contender."""

    texts: list[str]
    words: int
    details: dict[str, Any] = field(default_factory=dict)


class Contender(Protocol):
    """A contender, loaded on construction; `run` may be called any number of times."""

    def run(self, files: Sequence[str]) -> Outcome:
        """Transcribe audio files; texts are in the order of the files."""
        ...

    def stages(self, files: Sequence[str]) -> dict[str, float]:
        """Seconds by stage of a run that instrumentation may slow down; empty if they cannot be measured."""
        ...
