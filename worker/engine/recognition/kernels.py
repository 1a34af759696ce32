"""The operations between the matrix products of the networks, fused into single passes over the rows (CPU, compiled).

A row is one frame or one token. A row's result depends only on that row (in a memory block also on its neighbours in
the same segment), with additions in a fixed order, so it is bit-identical in any batch. A quantised row holds
`round(value / scale) + zero` in uint8 and has one float32 scale; `zero` is `max_magnitude + 1`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_MAGNITUDE = np.int32(0x7FFFFFFF)


def compiled(function: Kernel) -> Kernel:
    """Compile a kernel. The code is cached beside the module, or compiled at each start if that is not writable."""
    # Sums may be vectorised (in one fixed order), and NaNs do not occur.
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "nnan", "nsz", "arcp"}}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:
        return numba.njit(**options)(function)  # type: ignore[no-any-return]


@compiled
def quantise(values: Floats, max_magnitude: int, out: Bytes, scales: Floats) -> None:
    """Quantise float32 [R, D] → uint8 [R, D] and scales [R]; a row's largest magnitude becomes `max_magnitude`."""
    bits = values.view(np.int32)  # magnitudes compare like integers, and an integer maximum is vectorised
    largest = scales.view(np.int32)
    shift = np.float32(max_magnitude + 1.5)
    for row in range(values.shape[0]):
        top = np.int32(0)
        for i in range(values.shape[1]):
            top = max(top, bits[row, i] & _MAGNITUDE)
        largest[row] = top
        inverse = np.float32(max_magnitude) / scales[row] if top > 0 else np.float32(0)
        for i in range(values.shape[1]):
            out[row, i] = np.uint8(np.int32(values[row, i] * inverse + shift))
        scales[row] /= np.float32(max_magnitude)


@compiled
def normalise(values: Floats, gain: Floats, bias: Floats, epsilon: np.float32, out: Floats) -> None:
    """Layer normalisation of float32 [R, D]."""
    size = np.float32(values.shape[1])
    for row in range(values.shape[0]):
        total = np.float32(0)
        for i in range(values.shape[1]):
            total += values[row, i]
        mean = total / size
        squares = np.float32(0)
        for i in range(values.shape[1]):
            squares += (values[row, i] - mean) * (values[row, i] - mean)
        factor = np.float32(1) / np.sqrt(squares / size + epsilon)
        for i in range(values.shape[1]):
            out[row, i] = (values[row, i] - mean) * factor * gain[i] + bias[i]


@compiled
def rescale(product: Floats, scales: Floats, bias: Floats, relu: bool) -> None:
    """Rescale a product of quantised rows, float32 [R, D], in place: times its row's scale, plus bias."""
    for row in range(product.shape[0]):
        scale = scales[row]
        if relu:
            for i in range(product.shape[1]):
                product[row, i] = max(product[row, i] * scale + bias[i], np.float32(0))
        else:
            for i in range(product.shape[1]):
                product[row, i] = product[row, i] * scale + bias[i]


@compiled
def rescale_add(product: Floats, scales: Floats, bias: Floats, residual: Floats) -> None:
    """Like `rescale`, plus a residual [R, D]."""
    for row in range(product.shape[0]):
        scale = scales[row]
        for i in range(product.shape[1]):
            product[row, i] = product[row, i] * scale + bias[i] + residual[row, i]


@compiled
def remember(
    values: Floats, first: int, taps: Floats, left: int, bounds: NDArray[np.int64], residual: Floats, out: Floats
) -> None:
    """The memory block (FSMN) of packed segments: out = residual + v + FIR(v), all float32 [R, D].

    v is the columns of `values` from `first` on; of the `taps` [K, D], `left` look back. Segment n is the rows from
    bounds[n] to bounds[n + 1]; rows outside it count as zero.
    """
    size = taps.shape[1]
    for segment in range(len(bounds) - 1):
        begin, end = bounds[segment], bounds[segment + 1]
        for row in range(begin, end):
            target, base, own = out[row], residual[row], values[row, first : first + size]
            for i in range(size):
                target[i] = base[i] + own[i]
            for tap in range(max(0, begin - row + left), min(taps.shape[0], end - row + left)):
                weight, source = taps[tap], values[row + tap - left, first : first + size]
                for i in range(size):
                    target[i] += weight[i] * source[i]
