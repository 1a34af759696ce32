"""Paraformer's networks over packed rows, for a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.recognition.bias_networks import BiasNetworks
from worker.engine.recognition.bias_words import BiasWords
from worker.engine.recognition.gpu.kernels import Kernels, TorchKernels
from worker.engine.recognition.gpu.layers import Arithmetic
from worker.engine.recognition.gpu.layout import Layout
from worker.engine.recognition.gpu.predictor import RowPredictor
from worker.engine.recognition.gpu.transformer import Decoder, Encoder
from worker.engine.recognition.networks import Scores, Tokens, best, biased, to_host
from worker.engine.recognition.predictor import Intervals, Predictor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class GpuNetworks:
    """FunASR's weights over the rows of all segments, without padding; runs on any device.

    In `bf16` and `fp16` the weights of encoder and decoder are converted once, and so are the inputs of their matrix
    products; the residual stream, normalisations, memory blocks, softmax and the predictor stay in float32. Raises
    ModelUnavailable for a model that is not implemented here.
    """

    def __init__(
        self, model: Any, device: torch.device, precision: str = "fp32", bias: BiasNetworks | None = None
    ) -> None:
        self._device = device
        self._bias = bias
        chosen, reason = kernels_for(device)
        self.description = f"packed, {reason}" if reason else "packed"
        arithmetic = Arithmetic(device, DTYPES[precision], chosen)
        self._encoder = Encoder(model.encoder, arithmetic)
        self._predictor = RowPredictor(model.predictor, device)
        self._decoder = Decoder(model.decoder, arithmetic)

    @property
    def predictor(self) -> Predictor:
        """See `Networks`."""
        return self._predictor.rules

    @torch.inference_mode()
    def __call__(self, features: Tensor, lengths: Tensor, words: Sequence[BiasWords | None] = ()) -> Scores:
        """See `Networks`; `lengths` should be on the host, or the host waits for the device."""
        layout = Layout(lengths.tolist(), self._device)
        hidden = self._encoder(features.to(self._device).flatten(0, 1)[layout.places], layout)
        convolved = self._predictor.convolved(hidden, layout)
        intervals = self._predictor.intervals(convolved, layout)
        counted = _Copy(intervals.counts)
        if self.predictor.times_words:
            # The device is busy with the BLSTM while the host waits for the counts, which it needs to go on.
            weights = self._predictor.upsampled(hidden, convolved, layout, intervals.counts)
        else:
            weights = intervals.weights
        counts = counted.wait()
        layouts = layout, Layout(counts.tolist(), self._device)
        tokens = self._tokens(hidden, intervals, layouts, words)
        return to_host(layout.lengths.tolist(), intervals.counts, tokens, weights, self._predictor.upsampling)

    def _tokens(
        self, hidden: Tensor, intervals: Intervals, layouts: tuple[Layout, Layout], words: Sequence[BiasWords | None]
    ) -> Tokens:
        """The tokens of encoder rows [R, D], for the layouts of the frames and of the tokens."""
        frames, places = layouts
        if not places.rows:
            return best(hidden[:0])
        embeddings = self._predictor.embeddings(hidden, frames, intervals, places.longest)
        states = self._decoder.states(embeddings.flatten(0, 1)[places.places], places, hidden, frames)
        tokens = best(self._decoder.logits(states))
        if self._bias is None or not any(words):
            return tokens
        return biased(self._bias, tokens, words, (embeddings, states[places.grid].float(), intervals.counts))


def kernels_for(device: torch.device) -> tuple[Kernels, str]:
    """The kernels of a device, and why they are not Triton's on a GPU.

    Triton compiles at the first use and needs a C compiler for that, so it is tried here.
    """
    if device.type != "cuda":
        return TorchKernels(), ""
    try:
        from worker.engine.recognition.gpu.triton_kernels import TritonKernels

        kernels = TritonKernels()
        values, taps = torch.ones(4, 8, device=device), torch.ones(3, 8, device=device)
        kernels.remember(values, taps, 1, Layout([4], device), None)
        kernels.normalise(values, values, taps[0], taps[0], torch.float32)
        torch.cuda.synchronize(device)
    except Exception as error:
        return TorchKernels(), f"without Triton: {type(error).__name__}: {error}"[:300]
    return kernels, ""


class _Copy:
    """A small tensor on its way to the host."""

    def __init__(self, tensor: Tensor) -> None:
        self._done: torch.cuda.Event | None = None
        if tensor.device.type == "cuda":
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done.record(torch.cuda.current_stream(tensor.device))
        else:
            self._host = tensor

    def wait(self) -> NDArray[np.int64]:
        """The values, once the device has computed them."""
        if self._done is not None:
            self._done.synchronize()
        values: NDArray[np.int64] = self._host.numpy()
        return values
