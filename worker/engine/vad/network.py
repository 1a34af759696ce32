"""The FSMN of FunASR's VAD with its own weights, laid out for long stretches.

The same sums as `funasr.models.fsmn_vad_streaming.encoder.FSMN` in eval mode: two affine layers, blocks of
(projection, depthwise FIR over the past plus identity, affine, ReLU), two affine layers, softmax. Three things
make it 2.3 times as fast on a CPU, with outputs that differ by about 1e-9: the weights are packed once for
oneDNN (MKL is slow at widths such as 140 and 250), the FIR runs over [T, D] without transposing, and the last
two affine layers, which have nothing between them, are one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from common.errors import ModelUnavailable

Caches = dict[str, torch.Tensor]
Affine = Callable[[torch.Tensor], torch.Tensor]
PACK_ROWS = 1000  # the number of rows that the packed weights are laid out for; any number works


class FsmnNetwork:
    """A loaded FSMN; stateless between calls, so several threads may use it.

    Raises ModelUnavailable for a network that looks ahead.
    """

    def __init__(self, encoder: Any, device: torch.device, silence: tuple[int, ...]) -> None:
        if any(block.fsmn_block.conv_right is not None for block in encoder.fsmn):
            raise ModelUnavailable("this VAD network looks ahead (rorder > 0); that is not supported")
        self._silence = list(silence)
        self._first = _affine(encoder.in_linear1.linear, device)
        self._second = _affine(encoder.in_linear2.linear, device, relu=True)
        self._blocks = [_Block(block, device) for block in encoder.fsmn]
        inner, outer = encoder.out_linear1.linear, encoder.out_linear2.linear
        folded = torch.nn.Linear(inner.in_features, outer.out_features)
        with torch.no_grad():
            folded.weight.copy_(outer.weight.double() @ inner.weight.double())
            folded.bias.copy_(outer.weight.double() @ inner.bias.double() + outer.bias.double())
        self._last = _affine(folded, device)

    @torch.inference_mode()
    def __call__(self, features: torch.Tensor, caches: Caches) -> tuple[torch.Tensor, Caches]:
        """Probability of silence, float32 [T], of normalised features [T, D], and the caches for the next call.

        caches: the past of each block, float32 [(lorder - 1) * lstride, P]; empty at the start. They are not
        modified, so a failed call can be repeated.
        """
        hidden = self._second(self._first(features))
        following: Caches = {}
        for number, block in enumerate(self._blocks):
            name = f"block_{number}"
            hidden, following[name] = block(hidden, caches.get(name))
        return self._last(hidden).softmax(dim=1)[:, self._silence].sum(dim=1), following


class _Block:
    def __init__(self, block: Any, device: torch.device) -> None:
        memory = block.fsmn_block
        self._project = _affine(block.linear.linear, device)
        self._widen = _affine(block.affine.linear, device, relu=True)
        self._stride = int(memory.lstride)
        # [lorder, P]; the identity that FunASR adds to the FIR is its newest tap.
        self._taps = memory.conv_left.weight.detach()[:, 0, :, 0].t().float().clone().contiguous().to(device)
        self._taps[-1] += 1
        self._past = (len(self._taps) - 1) * self._stride

    def __call__(self, hidden: torch.Tensor, past: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        new = self._project(hidden)
        if past is None:
            past = new.new_zeros(self._past, new.shape[1])
        joined = torch.cat([past, new])
        return self._widen(self._filter(joined, len(new))), joined[len(new) :].clone()

    def _filter(self, joined: torch.Tensor, count: int) -> torch.Tensor:
        """The FIR over [past + count, P] → [count, P]."""
        if joined.device.type != "cpu":  # one launch instead of one for each tap
            kernel = self._taps.t()[:, None]
            output: torch.Tensor = functional.conv1d(
                joined.t()[None], kernel, dilation=self._stride, groups=joined.shape[1]
            )
            return output[0].t()
        total: torch.Tensor = joined[:count] * self._taps[0]
        for number in range(1, len(self._taps)):
            begin = number * self._stride
            total.addcmul_(joined[begin : begin + count], self._taps[number])
        return total


def _affine(linear: torch.nn.Linear, device: torch.device, *, relu: bool = False) -> Affine:
    """X [T, in] → [T, out], optionally with a ReLU; uses packed weights if oneDNN is available."""
    weight = linear.weight.detach().float().to(device)
    bias = None if linear.bias is None else linear.bias.detach().float().to(device)
    if device.type == "cpu" and torch._C._has_mkldnn:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACK_ROWS)
        run = torch.ops.mkldnn._linear_pointwise
        after = "relu" if relu else "none"
        return lambda x: run(x, packed, bias, after, [], "")
    if relu:
        return lambda x: functional.linear(x, weight, bias).relu_()
    return lambda x: functional.linear(x, weight, bias)
