"""The engine's memory: its peak over a long file, and its use after many jobs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.contenders.ours import blocks, load_engine
from bench.contenders.protocol import Outcome, Spec
from bench.usage import memory_mib

NOTED_EVERY = 10


class LongFile:
    """Runs files through the engine and discards the results, like a worker that commits parts."""

    def __init__(self, spec: Spec) -> None:
        self._engine = load_engine(spec)
        self._at_once = spec.at_once

    def run(self, files: Sequence[str]) -> Outcome:
        """Run the files; `rss_mib` in the details is the process's memory after every tenth file."""
        held, words = [], 0
        with ThreadPoolExecutor(self._at_once) as threads:
            for first in range(0, len(files), NOTED_EVERY):
                words += sum(threads.map(self._one, files[first : first + NOTED_EVERY]))
                held.append(memory_mib("VmRSS"))
        return Outcome([], words, {"rss_mib": held})

    def stages(self, _: Sequence[str]) -> dict[str, float]:
        """Not measured."""
        return {}

    def _one(self, file: str) -> int:
        stream, words = self._engine.stream(key=object()), 0
        for block in blocks(file):
            words += sum(len(sentence.words) for sentence in stream.accept(block))
        return words + sum(len(sentence.words) for sentence in stream.finish())
