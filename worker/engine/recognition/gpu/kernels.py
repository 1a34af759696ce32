"""The operations between the matrix products: written in Triton for a GPU, in plain torch for everything else.

Both forms add in float32, whatever the type of their inputs, and give the same results except for rounding.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from worker.engine.recognition.gpu.layout import Layout

EPSILON = 1e-12
"""The epsilon of FunASR's layer normalisation."""


class Kernels(Protocol):
    """What the layers need; all rows of a batch in one call."""

    def normalise(
        self, rows: Tensor, added: Tensor | None, gain: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """The sum `rows + added`, float32 [R, D] (or `rows` itself), and its layer normalisation in `dtype`.

        `rows` [R, D] and `added` [R, D] or None have any type; `gain` and `bias` are float32 [D].
        """
        ...

    def remember(self, values: Tensor, taps: Tensor, left: int, layout: Layout, residual: Tensor | None) -> Tensor:
        """The memory block (FSMN): residual + values + FIR(values), float32 [R, D].

        `values` [R, D] of any type, its rows may be part of longer ones; of the float32 `taps` [K, D], `left` look
        back. What lies outside a row's segment counts as zero. `residual` is float32 [R, D] or None.
        """
        ...


class TorchKernels:
    """Plain torch operations, on any device."""

    def normalise(
        self, rows: Tensor, added: Tensor | None, gain: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        total = rows if added is None else rows + added
        return total, functional.layer_norm(total.float(), gain.shape, gain, bias, EPSILON).to(dtype)

    def remember(self, values: Tensor, taps: Tensor, left: int, layout: Layout, residual: Tensor | None) -> Tensor:
        """See `Kernels`. A convolution over all segments, with zeros between them."""
        gap = len(taps) - 1
        places = layout.spread(gap)
        wide = taps.new_zeros(layout.rows + gap * (len(layout.lengths) + 1), taps.shape[1])
        own = values.float()
        wide[places + left] = own
        sums = functional.conv1d(wide.t()[None], taps.t()[:, None], groups=taps.shape[1])[0].t()
        remembered = sums[places].add_(own)
        return remembered if residual is None else remembered.add_(residual)
