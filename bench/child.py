"""The process of one contender: `python -m bench.child`, controlled by lines of JSON on standard input.

The first line is a `Spec`, every further one `{"do": "run" | "stages", "files": […]}`. Each gets a one-line
response. Output printed by libraries goes to the log. The process ends when its input is closed.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any, TextIO

from bench.contenders.protocol import Contender, Spec
from bench.usage import Meter

KINDS = {
    "ours": "bench.contenders.ours:Ours",
    "funasr": "bench.contenders.automodel:AutoModelContender",
    "funasr-onnx": "bench.contenders.funasr_onnx_peer:FunasrOnnx",
    "sherpa-onnx": "bench.contenders.sherpa_peer:SherpaOnnx",
    "vad-ours": "bench.contenders.vad:OurVad",
    "vad-funasr": "bench.contenders.vad:FunasrVad",
    "sameness-ours": "bench.contenders.sameness:OurTexts",
    "sameness-funasr": "bench.contenders.sameness:FunasrTexts",
    "memory": "bench.contenders.memory:LongFile",
}


def main() -> int:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output printed by libraries is not a response
    spec = Spec(**json.loads(sys.stdin.readline()))
    started = time.perf_counter()
    try:
        contender = make(spec)
    except Exception as error:
        _say(answers, {"error": _words(error)})
        return 1
    _say(answers, {"load_seconds": time.perf_counter() - started})
    for line in sys.stdin:
        try:
            _say(answers, answer(contender, spec.device, json.loads(line)))
        except Exception as error:
            _say(answers, {"error": _words(error)})
    return 0


def make(spec: Spec) -> Contender:
    """Load a contender."""
    module, _, name = KINDS[spec.kind].partition(":")
    made: Contender = getattr(importlib.import_module(module), name)(spec)
    return made


def answer(contender: Contender, device: str, request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request."""
    if request["do"] == "stages":
        return {"stages": contender.stages(request["files"])}
    with Meter(device) as meter:
        outcome = contender.run(request["files"])
    return {**meter.figures, "texts": outcome.texts, "words": outcome.words, "details": outcome.details}


def _say(answers: TextIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content, ensure_ascii=False) + "\n")
    answers.flush()


def _words(error: BaseException) -> str:
    import traceback

    traceback.print_exception(error, file=sys.stderr)
    return f"{type(error).__name__}: {error}"[:600]


if __name__ == "__main__":
    sys.exit(main())
