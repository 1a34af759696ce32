"""The benchmark's side of a contender's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.contenders.protocol import Spec
from bench.report import REPOSITORY


class Refused(Exception):
    """A contender could not be loaded or failed; the message is the contender's own."""


@dataclass(frozen=True)
class Run:
    """One measured run."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_mib: float
    gpu_mib: float | None
    words: int
    texts: list[str] = field(repr=False)
    details: dict[str, Any]


class Remote:
    """A loaded contender; a context manager that ends its process. Raises Refused if it cannot be loaded."""

    def __init__(self, spec: Spec, log: Path, python: Path | str = sys.executable, **environment: str) -> None:
        self.spec = spec
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [str(python), "-m", "bench.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=REPOSITORY,
            env=_environment(spec.threads, environment),
            text=True,
            encoding="utf-8",
        )
        try:
            self.load_seconds: float = self._ask(asdict(spec))["load_seconds"]
        except Refused:
            self.close()
            raise

    def run(self, files: Sequence[str | Path]) -> Run:
        """Transcribe files and measure the cost."""
        return Run(**self._ask({"do": "run", "files": [str(file) for file in files]}))

    def stages(self, files: Sequence[str | Path]) -> dict[str, float]:
        """Seconds by stage."""
        stages: dict[str, float] = self._ask({"do": "stages", "files": [str(file) for file in files]})["stages"]
        return stages

    def close(self) -> None:
        """Close the input of the process, which ends it; kill it if it does not end in time."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Refused(self._last_words()) from None
        line = self._process.stdout.readline()
        if not line:
            raise Refused(self._last_words())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise Refused(reply["error"])
        return reply

    def _last_words(self) -> str:
        lines = [
            line for line in Path(self._log.name).read_text("utf-8", errors="replace").splitlines() if line.strip()
        ]
        return f"its process ended: {lines[-1][:300] if lines else 'without a word'}"


def _environment(threads: int, more: Mapping[str, str]) -> dict[str, str]:
    """Set the same number of threads for every library that reads it from the environment."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {**os.environ, **limits, "PYTHONUNBUFFERED": "1", **more}
