"""Starts and stops the processes of a round: the tenants, and the crews of simulated workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cluster.load import Load

STOP_SECONDS = 120


class ChildFailed(Exception):
    """A process of the round ended early or said nothing; the message holds the end of its log."""


@dataclass
class Speaker:
    """A child process that takes lines and says lines of JSON."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def hear(self) -> Any:
        """Return the next line that it says. Raises ChildFailed."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(STOP_SECONDS)
            raise ChildFailed(f"{self.name} ended: …{self.log.read_text('utf-8', errors='replace')[-1500:]}")
        return json.loads(line)

    def tell(self, line: str) -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end_input(self) -> None:
        """Close its input, which ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()


@dataclass(frozen=True)
class Crowd:
    """The running processes of a round."""

    callers: Speaker
    crews: list[Speaker]

    @property
    def everyone(self) -> list[Speaker]:
        """All processes."""
        return [self.callers, *self.crews]


@contextmanager
def gathered(load: Load, tree: Path, environment: dict[str, str], logs: Path) -> Iterator[Crowd]:
    """Run the code of `tree`; yields when all workers are registered and jobs arrive. Kills what is left at the end."""
    sizes = [
        load.workers * (i + 1) // load.processes - load.workers * i // load.processes for i in range(load.processes)
    ]
    started: list[Speaker] = []

    def start(name: str, *command: str) -> Speaker:
        started.append(_started(name, command, load, tree, environment, logs))
        return started[-1]

    try:
        crews = [start(f"crew-{i}", "bench.cluster.crew", f"crew-{i}", str(size)) for i, size in enumerate(sizes)]
        for crew in crews:
            crew.hear()
        callers = start("callers", "bench.cluster.callers")
        callers.hear()
        yield Crowd(callers, crews)
    finally:
        for one in started:
            one.process.kill()
            one.process.wait()


def _started(
    name: str, command: tuple[str, ...], load: Load, tree: Path, environment: dict[str, str], logs: Path
) -> Speaker:
    theirs = {key: value for key, value in os.environ.items() if not key.startswith("PARAQUEUE_")}
    log = logs / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=tree,
            env=theirs | environment,
            text=True,
            encoding="utf-8",
        )
    speaker = Speaker(name, process, log)
    speaker.tell(load.to_json())
    return speaker
