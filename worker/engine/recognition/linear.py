"""The networks' affine layers on a CPU, packed once: in fp32, or in int8 with a scale for every row.

Both kinds of arithmetic provide the same three operations: a layer, a normalisation that produces a layer's input,
and a conversion of plain rows to that input.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from common.errors import ConfigurationError
from worker.engine.recognition import kernels

PACK_ROWS = 500  # the number of rows that packed weights are laid out for; any number works
PROBE_ROWS = 24


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
        """float32 [R, in] → [R, out], optionally through a ReLU or plus `add` [R, out]."""
        run = torch.ops.mkldnn._linear_pointwise
        if add is not None:
            added: Tensor = run.binary(rows, add, self._packed, self._bias, "add")
            return added
        product: Tensor = run(rows, self._packed, self._bias, "relu" if relu else "none", [], "")
        return product


class Int8Linear:
    """A torch Linear with int8 weights, one scale for each output, over quantised rows.

    Sums use integers and are exact, whatever the other rows are. Raises ConfigurationError if they would not be.
    """

    def __init__(self, linear: Any) -> None:
        max_magnitude()
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        weight = torch.round(weight / scales[:, None]).to(torch.int8)
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()
        self._bias = bias.numpy().copy()
        self._scales = scales
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._packed = torch.ops.onednn.qlinear_prepack(weight, [PACK_ROWS, weight.shape[1]])

    def __call__(self, rows: Quantised, *, relu: bool = False, add: Tensor | None = None) -> Tensor:
        """Quantised [R, in] → float32 [R, out], optionally through a ReLU or plus `add` [R, out]."""
        product = _product(rows.bytes, max_magnitude() + 1, self._packed, self._scales, self._zeros)
        if add is not None:
            kernels.rescale_add(product.numpy(), rows.scales.numpy(), self._bias, add.numpy())
        else:
            kernels.rescale(product.numpy(), rows.scales.numpy(), self._bias, relu)
        return product


class FloatNorm:
    """A torch LayerNorm."""

    def __init__(self, norm: Any) -> None:
        self._gain, self._bias = norm.weight.detach().float(), norm.bias.detach().float()
        self._epsilon = float(norm.eps)

    def __call__(self, rows: Tensor) -> Tensor:
        """float32 [R, D] → [R, D]."""
        return functional.layer_norm(rows, self._gain.shape, self._gain, self._bias, self._epsilon)


class Int8Norm:
    """A torch LayerNorm whose result is quantised."""

    def __init__(self, norm: Any) -> None:
        self._gain, self._bias = norm.weight.detach().float().numpy(), norm.bias.detach().float().numpy()
        self._epsilon = np.float32(norm.eps)

    def __call__(self, rows: Tensor) -> Quantised:
        """float32 [R, D] → quantised [R, D]."""
        normal = torch.empty(rows.shape)
        kernels.normalise(rows.numpy(), self._gain, self._bias, self._epsilon, normal.numpy())
        return quantised(normal)


class Arithmetic(NamedTuple):
    """A kind of arithmetic: makes a layer of a torch Linear, a normalisation of a LayerNorm, and rows for a layer."""

    linear: Callable[[Any], Callable[..., Tensor]]
    norm: Callable[[Any], Callable[[Tensor], Any]]
    rows: Callable[[Tensor], Any]


def quantised(rows: Tensor) -> Quantised:
    """float32 [R, D] → quantised rows."""
    rows = rows.contiguous()
    quantised = Quantised(torch.empty(rows.shape, dtype=torch.uint8), torch.empty(len(rows)))
    kernels.quantise(rows.numpy(), max_magnitude(), quantised.bytes.numpy(), quantised.scales.numpy())
    return quantised


@cache
def max_magnitude() -> int:
    """The largest quantised magnitude at which this processor's int8 products are exact: 127 or 63, tested once.

    With VNNI (or AMX, or ARM's dot products) the products are added in 32 bits. AVX2 first adds pairs of them in 16
    bits, which overflows at 127. The processor's features do not determine which kernel oneDNN uses
    (`ONEDNN_MAX_CPU_ISA`, a hypervisor), so extreme values are multiplied and compared with integer arithmetic.

    Raises ConfigurationError if neither is exact.
    """
    for magnitude in (127, 63):
        if all(_is_exact(magnitude, width) for width in (16, 100, 512)):
            return magnitude
    raise ConfigurationError("int8 products are wrong on this processor; set the precision to fp32.")


def _is_exact(magnitude: int, width: int) -> bool:
    """Whether products of rows and weights of the largest magnitudes, of both signs, are exact to the last bit."""
    generator = np.random.default_rng(width)
    signs = generator.choice(np.array([-1, 1]), (PROBE_ROWS, width))
    signs[:2] = [[1], [-1]]  # all signs equal: the largest sums
    weight = 127 * generator.choice(np.array([-1, 1]), (PROBE_ROWS, width))
    weight[:2] = [[127], [-127]]
    rows = torch.from_numpy((magnitude * signs + magnitude + 1).astype(np.uint8))
    packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(weight.astype(np.int8)), [PACK_ROWS, width])
    product = _product(rows, magnitude + 1, packed, torch.ones(PROBE_ROWS), torch.zeros(PROBE_ROWS, dtype=torch.int32))
    return bool(np.array_equal(product.numpy(), (magnitude * signs @ weight.T).astype(np.float32)))


def _product(rows: Tensor, zero: int, packed: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """(uint8 [R, in] - `zero`) times packed int8 weights, times a scale for each output: float32 [R, out]."""
    product: Tensor = torch.ops.onednn.qlinear_pointwise(
        *(rows, 1.0, zero, packed, scales, zeros, None), *(1.0, 0, torch.float32, "none", [], "")
    )
    return product


FLOAT = Arithmetic(FloatLinear, FloatNorm, lambda rows: rows)
INT8 = Arithmetic(Int8Linear, Int8Norm, quantised)
