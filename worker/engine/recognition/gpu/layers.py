"""The parts that encoder and decoder are made of: weights in 32 or 16 bits, everything between them in float32."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from worker.engine.recognition.gpu.kernels import Kernels
from worker.engine.recognition.gpu.layout import Layout


class Arithmetic(NamedTuple):
    """Where the networks run, with which kernels, and the type of their weights and of the rows between products."""

    device: torch.device
    dtype: torch.dtype
    kernels: Kernels


class Affine:
    """A torch Linear, or several of the same input as one; its weights are converted once."""

    def __init__(self, arithmetic: Arithmetic, *linears: Any) -> None:
        self._weight = _joined([linear.weight for linear in linears], arithmetic.dtype, arithmetic.device)
        biases = [linear.bias for linear in linears]
        self._bias = None if biases[0] is None else _joined(biases, arithmetic.dtype, arithmetic.device)

    def __call__(self, rows: Tensor) -> Tensor:
        """[R, in] → [R, out], in the type of the weights."""
        return functional.linear(rows, self._weight, self._bias)

    def relu(self, rows: Tensor) -> Tensor:
        """[R, in] → [R, out] through a ReLU, which a GPU computes in the product's own launch."""
        if self._bias is None:
            return functional.linear(rows, self._weight).relu_()
        activated: Tensor = torch._addmm_activation(self._bias, rows, self._weight.t())
        return activated

    def exact(self, rows: Tensor) -> Tensor:
        """[R, in] → float32 [R, out]: sums of 16-bit products that are not rounded to 16 bits again."""
        if rows.dtype == torch.float32:
            return self(rows)
        if rows.device.type == "cuda":
            product = torch.mm(rows, self._weight.t(), out_dtype=torch.float32)
        else:
            product = rows.float() @ self._weight.float().t()
        return product if self._bias is None else product.add_(self._bias)


class Norm:
    """A torch LayerNorm in float32, of the sum of two matrices."""

    def __init__(self, arithmetic: Arithmetic, norm: Any, dtype: torch.dtype | None = None) -> None:
        self._kernels = arithmetic.kernels
        self._gain = norm.weight.detach().to(arithmetic.device, torch.float32)
        self._bias = norm.bias.detach().to(arithmetic.device, torch.float32)
        self._dtype = dtype or arithmetic.dtype

    def __call__(self, rows: Tensor, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Rows [R, D] → rows + added, and that normalised in the type of the weights (or in `dtype`)."""
        return self._kernels.normalise(rows, added, self._gain, self._bias, self._dtype)


class Memory:
    """An FSMN block."""

    def __init__(self, arithmetic: Arithmetic, block: Any) -> None:
        self._kernels = arithmetic.kernels
        taps = block.fsmn_block.weight.detach()[:, 0].t()  # [K, D]
        self._taps = taps.to(arithmetic.device, torch.float32).contiguous()
        self._left = int(block.pad_fn.padding[0])

    def __call__(self, values: Tensor, layout: Layout, residual: Tensor | None) -> Tensor:
        """The sum residual + values + FIR(values) within each segment: [R, D] → float32 [R, D]."""
        return self._kernels.remember(values, self._taps, self._left, layout, residual)


def _joined(parts: list[Tensor], dtype: torch.dtype, device: torch.device) -> Tensor:
    converted = [part.detach().to(device, dtype) for part in parts]
    return converted[0] if len(converted) == 1 else torch.cat(converted)
