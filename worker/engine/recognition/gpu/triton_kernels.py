"""The kernels in Triton. Importable only where Triton is installed; with `TRITON_INTERPRET=1` they run on a CPU."""

# Triton has no types, and reads the kernels' own source: no postponed annotations other than tl.constexpr.
# mypy: ignore-errors

import torch
import triton
import triton.language as tl
from torch import Tensor

from worker.engine.recognition.gpu.kernels import EPSILON
from worker.engine.recognition.gpu.layout import Layout

BLOCK_ROWS, BLOCK_COLUMNS = 16, 128


@triton.jit
def normalise_kernel(
    rows, added, gain, bias, total, normal, size, epsilon, has_added: tl.constexpr, block: tl.constexpr
):
    """One program per row [size]; all matrices are contiguous."""
    columns = tl.arange(0, block)
    inside = columns < size
    places = tl.program_id(0).to(tl.int64) * size + columns
    values = tl.load(rows + places, mask=inside, other=0.0).to(tl.float32)
    if has_added:
        values += tl.load(added + places, mask=inside, other=0.0).to(tl.float32)
        tl.store(total + places, values, mask=inside)
    mean = tl.sum(values, axis=0) / size
    centred = tl.where(inside, values - mean, 0.0)
    variance = tl.sum(centred * centred, axis=0) / size
    factor = 1.0 / tl.sqrt(variance + epsilon)
    scale = tl.load(gain + columns, mask=inside, other=0.0)
    shift = tl.load(bias + columns, mask=inside, other=0.0)
    tl.store(normal + places, (centred * factor * scale + shift).to(normal.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["count"])
def remember_kernel(
    values,
    stride,
    taps,
    borders,
    residual,
    out,
    count,
    size,
    left: tl.constexpr,
    tap_count: tl.constexpr,
    has_residual: tl.constexpr,
    block_rows: tl.constexpr,
    block_columns: tl.constexpr,
):
    """One program per `block_rows` x `block_columns` of the result; `values` has `stride` elements between its rows."""
    row = tl.program_id(0) * block_rows + tl.arange(0, block_rows)
    column = tl.program_id(1) * block_columns + tl.arange(0, block_columns)
    present, wanted = row < count, column < size
    first = tl.load(borders + row, mask=present, other=0)
    last = tl.load(borders + count + row, mask=present, other=0)
    both = present[:, None] & wanted[None, :]
    wide = row.to(tl.int64)
    total = tl.load(values + wide[:, None] * stride + column[None, :], mask=both, other=0.0).to(tl.float32)
    if has_residual:
        total += tl.load(residual + wide[:, None] * size + column[None, :], mask=both, other=0.0)
    for tap in tl.static_range(tap_count):
        source = row + (tap - left)
        reached = (source >= first) & (source < last)
        weight = tl.load(taps + tap * size + column, mask=wanted, other=0.0)
        places = source.to(tl.int64)[:, None] * stride + column[None, :]
        near = tl.load(values + places, mask=reached[:, None] & wanted[None, :], other=0.0)
        total += weight[None, :] * near.to(tl.float32)
    tl.store(out + wide[:, None] * size + column[None, :], total, mask=both)


class TritonKernels:
    """See `worker.engine.recognition.gpu.kernels.Kernels`: one launch for each call."""

    def normalise(
        self, rows: Tensor, added: Tensor | None, gain: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        count, size = rows.shape
        normal = torch.empty(count, size, dtype=dtype, device=rows.device)
        total = rows if added is None else torch.empty(count, size, dtype=torch.float32, device=rows.device)
        normalise_kernel[(count,)](
            rows.contiguous(),
            rows if added is None else added.contiguous(),
            gain,
            bias,
            total,
            normal,
            size,
            EPSILON,
            has_added=added is not None,
            block=triton.next_power_of_2(size),
        )
        return total, normal

    def remember(self, values: Tensor, taps: Tensor, left: int, layout: Layout, residual: Tensor | None) -> Tensor:
        """See `Kernels`."""
        count, size = values.shape
        out = torch.empty(count, size, dtype=torch.float32, device=values.device)
        remember_kernel[(triton.cdiv(count, BLOCK_ROWS), triton.cdiv(size, BLOCK_COLUMNS))](
            values,
            values.stride(0),
            taps,
            layout.borders,
            out if residual is None else residual.contiguous(),
            out,
            count,
            size,
            left=left,
            tap_count=len(taps),
            has_residual=residual is not None,
            block_rows=BLOCK_ROWS,
            block_columns=BLOCK_COLUMNS,
        )
        return out
