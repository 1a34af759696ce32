"""A GPU worker that dies in the middle of a certain file, as from a defect in a codec or a driver.

`CRASH_SHA256` names the file and `CRASH_MS` the place; everything else is the real worker.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from dataclasses import replace

import worker.transcription.main
import worker.transcription.tasks
from worker.engine.engine import Engine
from worker.transcription.pipeline import Hooks, PipelineResult, Request, transcribe


def transcribe_or_die(engine: Engine, request: Request, hooks: Hooks) -> PipelineResult:
    """The real pipeline, with a trap in one file."""
    if hashlib.sha256(request.path.read_bytes()).hexdigest() != os.environ["CRASH_SHA256"]:
        return transcribe(engine, request, hooks)

    def tell(processed_ms: int, declared_ms: int | None) -> None:
        if processed_ms >= int(os.environ["CRASH_MS"]):
            os.kill(os.getpid(), signal.SIGKILL)
        hooks.on_progress(processed_ms, declared_ms)

    return transcribe(engine, request, replace(hooks, on_progress=tell))


if __name__ == "__main__":
    worker.transcription.tasks.transcribe = transcribe_or_die  # type: ignore[attr-defined]
    sys.exit(worker.transcription.main.main())
