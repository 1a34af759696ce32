"""FunASR's own pipeline: `AutoModel.generate(batch_size_s=300)` over VAD, recognition and punctuation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.contenders.protocol import Outcome, Spec

Book = tuple[dict[str, float], threading.Lock]
QUIET: dict[str, Any] = {"disable_update": True, "disable_pbar": True, "log_level": "ERROR"}


def auto_model(spec: Spec) -> Any:
    """FunASR's pipeline over the bundle; sets `ncpu`, because it would otherwise set 4 threads at every call."""
    from funasr import AutoModel

    bundle = Path(spec.bundle)
    return AutoModel(
        model=str(bundle / "asr"),
        vad_model=str(bundle / "vad"),
        punc_model=str(bundle / "punc"),
        device=spec.device,
        ncpu=spec.threads,
        **QUIET,
    )


class AutoModelContender:
    """Transcribes one file after the other, as AutoModel also does with a list."""

    def __init__(self, spec: Spec) -> None:
        self._model = auto_model(spec)
        self._device = spec.device
        self._batch_size_s = int(spec.options.get("batch_size_s", 300))

    def run(self, files: Sequence[str]) -> Outcome:
        """Run with default options except for the batch's seconds of segments; on a CPU it takes one at a time."""
        results = [self._model.generate(input=file, batch_size_s=self._batch_size_s) for file in files]
        answers = [result[0] if result else {"text": ""} for result in results]
        words = sum(len(answer.get("timestamp", [])) for answer in answers)
        return Outcome([answer["text"] for answer in answers], words)

    def stages(self, files: Sequence[str]) -> dict[str, float]:
        """Seconds by the methods of FunASR's models; the rest is reading audio, features and Python."""
        model = self._model
        named = {
            "VAD": (model.vad_model, "inference"),
            "encoder": (model.model, "encode"),
            "predictor": (model.model, "calc_predictor"),
            "timestamp head": (model.model, "calc_predictor_timestamp"),
            "decoder": (model.model, "cal_decoder_with_predictor"),
            "punctuation": (model.punc_model, "inference"),
        }
        seconds = timed_stages(named, lambda: self.run(files), self._device)
        return {**seconds, "other": 2 * seconds["all"] - sum(seconds.values())}


def timed_stages(named: dict[str, tuple[Any, str]], work: Callable[[], object], device: str) -> dict[str, float]:
    """Seconds spent in methods (object, name) by stage while `work` runs, and in `all` of it.

    A stage that runs in several threads at once is counted for each of them.
    """
    seconds: dict[str, float] = {}
    lock = threading.Lock()
    with ExitStack() as stack:
        for stage, (owner, method) in named.items():
            if owner is not None and hasattr(owner, method):
                stack.enter_context(_timed(owner, method, stage, (seconds, lock), device))
        started = time.perf_counter()
        work()
        whole = time.perf_counter() - started
    return {**seconds, "all": whole}


@contextmanager
def _timed(owner: Any, method: str, stage: str, book: Book, device: str) -> Iterator[None]:
    seconds, lock = book
    original = getattr(owner, method)
    own = method in vars(owner)
    seconds.setdefault(stage, 0.0)

    def timed(*arguments: Any, **options: Any) -> Any:
        _wait_for(device)
        started = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            _wait_for(device)
            with lock:
                seconds[stage] += time.perf_counter() - started

    setattr(owner, method, timed)
    try:
        yield
    finally:
        delattr(owner, method)
        if own:
            setattr(owner, method, original)


def _wait_for(device: str) -> None:
    """Synchronise with the device: a GPU continues to work after a call has returned."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
