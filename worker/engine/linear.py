"""The affine layers of the networks on a CPU, packed once: in fp32, or in int8 with a scale for every row.

Both kinds of arithmetic offer the same three things: a layer, a normalisation whose result a layer takes, and a way
to make such rows of plain ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from . import kernels

PACK_ROWS = 500  # the number of rows that packed weights are laid out for; any number works


class Quantised(NamedTuple):
    """Rows in 8 bits: `bytes` uint8 [R, D], `scales` float32 [R]."""

    bytes: Tensor
    scales: Tensor


class FloatLinear:
    """A torch Linear with its weights packed for oneDNN."""

    def __init__(self, linear: Any) -> None:
        weight = linear.weight.detach().float()
        self._bias = None if linear.bias is None else linear.bias.detach().float().clone()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACK_ROWS)

    def __call__(self, rows: Tensor, *, relu: bool = False, add: Tensor | None = None) -> Tensor:
        """float32 [R, in] → [R, out], through a ReLU or plus `add` [R, out] if wanted."""
        run = torch.ops.mkldnn._linear_pointwise
        if add is not None:
            added: Tensor = run.binary(rows, add, self._packed, self._bias, "add")
            return added
        product: Tensor = run(rows, self._packed, self._bias, "relu" if relu else "none", [], "")
        return product


class Int8Linear:
    """A torch Linear with int8 weights, one scale for each output, over quantised rows.

    Sums are made in integers: exact, whatever the other rows are.
    """

    def __init__(self, linear: Any) -> None:
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        weight = torch.round(weight / scales[:, None]).to(torch.int8)
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()
        self._bias = bias.numpy().copy()
        self._scales = scales
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._packed = torch.ops.onednn.qlinear_prepack(weight, [PACK_ROWS, weight.shape[1]])

    def __call__(self, rows: Quantised, *, relu: bool = False, add: Tensor | None = None) -> Tensor:
        """Quantised [R, in] → float32 [R, out], through a ReLU or plus `add` [R, out] if wanted."""
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(rows.bytes, 1.0, widest() + 1, self._packed, self._scales, self._zeros, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        if add is not None:
            kernels.rescale_add(product.numpy(), rows.scales.numpy(), self._bias, add.numpy())
        else:
            kernels.rescale(product.numpy(), rows.scales.numpy(), self._bias, relu)
        return product


class FloatNorm:
    """A torch LayerNorm."""

    def __init__(self, norm: Any) -> None:
        self._gain, self._bias = norm.weight.detach().float(), norm.bias.detach().float()

    def __call__(self, rows: Tensor) -> Tensor:
        """float32 [R, D] → [R, D]."""
        return functional.layer_norm(rows, self._gain.shape, self._gain, self._bias, float(kernels.EPSILON))


class Int8Norm:
    """A torch LayerNorm whose result is quantised."""

    def __init__(self, norm: Any) -> None:
        self._gain, self._bias = norm.weight.detach().float().numpy(), norm.bias.detach().float().numpy()

    def __call__(self, rows: Tensor) -> Quantised:
        """float32 [R, D] → quantised [R, D]."""
        normal = torch.empty(rows.shape)
        kernels.normalise(rows.numpy(), self._gain, self._bias, normal.numpy())
        return quantised(normal)


class Arithmetic(NamedTuple):
    """How to calculate: makes a layer of a torch Linear, a normalisation of a LayerNorm, and rows for a layer."""

    linear: Callable[[Any], Callable[..., Tensor]]
    norm: Callable[[Any], Callable[[Tensor], Any]]
    rows: Callable[[Tensor], Any]


def quantised(rows: Tensor) -> Quantised:
    """float32 [R, D] → quantised rows."""
    rows = rows.contiguous()
    found = Quantised(torch.empty(rows.shape, dtype=torch.uint8), torch.empty(len(rows)))
    kernels.quantise(rows.numpy(), widest(), found.bytes.numpy(), found.scales.numpy())
    return found


def widest() -> int:
    """The largest quantised value: without VNNI pairs of products are added in 16 bits, and 127 would overflow."""
    return _WIDEST


def _has_vnni() -> bool:
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:  # not Linux: the careful value is right everywhere
        return False
    return not flags.isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8"})


_WIDEST = 127 if _has_vnni() else 63

FLOAT = Arithmetic(FloatLinear, FloatNorm, lambda rows: rows)
INT8 = Arithmetic(Int8Linear, Int8Norm, quantised)
