"""What the person at the terminal sees: steps, a progress bar, the transcript, the addresses."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dev.demo import Job, Outcome, Sentence, Show, character_error_rate
from dev.stack import FLOWER_USER, Stack

DEMO_MODEL = "demo-zh"
REAL_VOICES = "PARAQUEUE_MODEL=paraformer-large-zh make run"


class Terminal:
    """Colours and a moving bar on a terminal, plain lines in a pipe or a log."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False, markup=False)
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        """One line, with the seconds since the start."""
        self._console.print(f"[{time.monotonic() - self._started:5.1f} s] {text}")

    @contextmanager
    def progress(self, name: str) -> Iterator[Show]:
        """Show how far a job is: call what this gives with the job, as often as it was polled."""
        if not self._console.is_terminal:
            yield _PlainProgress(self, name)
            return
        columns = [TextColumn("{task.description:28}"), BarColumn(), TextColumn("{task.percentage:3.0f} %")]
        with Progress(*columns, TimeElapsedColumn(), console=self._console) as bar:
            task = bar.add_task(name, total=1.0)

            def show(job: Job) -> None:
                done = 1.0 if job["status"] == "completed" else job.get("progress") or 0.0
                bar.update(task, completed=done, description=f"{name}: {_stage(job)}")

            yield show

    def transcript(self, outcome: Outcome, reference: list[Sentence] | None) -> None:
        """The sentences with their times, then how fast and how right they are."""
        for sentence in outcome.sentences:
            self._console.print(f"{_clock(sentence.start_ms)} - {_clock(sentence.end_ms)}  {sentence.text}")
        rate = f", CER {character_error_rate(reference, outcome.sentences):.2%}" if reference else ""
        self._console.print(
            f"{outcome.audio_ms / 1000:.1f} s of audio in {outcome.processing_seconds:.1f} s: "
            f"RTF {outcome.rtf:.4f} ({1 / max(outcome.rtf, 1e-9):.0f} times as fast as it was spoken){rate}"
        )

    def addresses(self, stack: Stack) -> None:
        """Where everything is, with the login of Flower."""
        for name, place in {
            "console": f"{stack.url}/ (sign in with the API key)",
            "API": stack.url,
            "API key": f"{stack.api_key} (-H 'Authorization: Bearer …')",
            "documentation": f"{stack.url}/docs",
            "Flower": f"http://127.0.0.1:{stack.flower_port} (user {FLOWER_USER}, password {stack.flower_password})",
            "metrics": ", ".join(
                [f"{stack.url}/metrics"]
                + [f"http://127.0.0.1:{port}/metrics ({name})" for name, port in stack.metrics_ports.items()]
            ),
            "data": stack.options.data,
            "logs": stack.logs,
        }.items():
            self._console.print(f"  {name:14} {place}")
        if os.environ.get("PARAQUEUE_MODEL", DEMO_MODEL) == DEMO_MODEL:
            self._console.print(f"{DEMO_MODEL} only understands synthetic speech. For real voices: {REAL_VOICES}")

    def error(self, text: str) -> None:
        """Why it went wrong, on stderr."""
        print(f"paraqueue: {text}", file=sys.stderr, flush=True)


class _PlainProgress:
    """One line for each stage and each further fifth of the audio."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self._terminal = terminal
        self._name = name
        self._said = ""

    def __call__(self, job: Job) -> None:
        progress = job.get("progress")
        fifth = "" if progress is None else f" {int(progress * 5) * 20} %"
        line = f"{self._name}: {_stage(job)}{fifth}"
        if line != self._said:
            self._terminal.step(line)
            self._said = line


def _stage(job: Job) -> str:
    return str(job.get("stage") or job["status"]) if job["status"] == "processing" else str(job["status"])


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
