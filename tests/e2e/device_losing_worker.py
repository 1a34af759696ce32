"""A GPU worker whose device is lost at the first batch after warm-up, as after an illegal memory access of a kernel.

There is no GPU where tests run, so the error and its rule are made here; everything else is the real worker.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import worker.engine.engine
import worker.transcription.main
from worker.engine.device.faults import FaultRules
from worker.engine.recognition.paraformer import Paraformer
from worker.engine.recognition.utterance import Utterance

MESSAGE = "CUDA error: an illegal memory access was encountered"
transcribe = Paraformer.transcribe
ready = False


def fail_when_ready(self: Paraformer, utterances: Sequence[Utterance]) -> object:
    """The real recognition until the worker takes jobs."""
    if ready:
        raise RuntimeError(MESSAGE)
    return transcribe(self, utterances)


def fault_rules(*_given: object, **_named: object) -> FaultRules:
    """Rules that know the error of `fail_when_ready`."""
    return FaultRules(is_lost=lambda error: MESSAGE in str(error))


def main() -> int:
    """The worker's own, with a device that fails."""
    global ready
    Paraformer.transcribe = fail_when_ready  # type: ignore[assignment, method-assign]
    worker.engine.engine.torch_fault_rules = fault_rules  # type: ignore[attr-defined]
    load = worker.transcription.main.load_engine

    def load_and_arm(*arguments: object) -> object:
        global ready
        engine = load(*arguments)  # type: ignore[arg-type]
        ready = True
        return engine

    worker.transcription.main.load_engine = load_and_arm  # type: ignore[assignment]
    return worker.transcription.main.main()


if __name__ == "__main__":
    sys.exit(main())
