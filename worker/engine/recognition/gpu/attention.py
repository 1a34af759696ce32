"""Softmax attention within each of the packed segments of a batch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from worker.engine.features import uploaded
from worker.engine.recognition.gpu.layout import Indices, Layout

SLACK_RATIO, SLACK_ROWS = 1.25, 8
"""Segments are padded to one length if the longest exceeds the shortest by at most this factor and this many rows."""

FLASH_CAPABILITY = (8, 0)
"""The compute capability from which torch's flash attention runs."""


class Attention(Protocol):
    """Attention of the queries of a layout's segments over the keys of another's."""

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        """Queries [N, D], keys and values [R, D] → [N, D], all of one type; rows may be part of longer ones."""
        ...


def attention_over(queries: Layout, keys: Layout, dtype: torch.dtype) -> Attention:
    """The fastest attention for a pair of layouts and a type of numbers."""
    varlen = _varlen_attn(keys.device, dtype)
    return GroupedAttention(queries, keys) if varlen is None else PackedAttention(queries, keys, varlen)


def _varlen_attn(device: torch.device, dtype: torch.dtype) -> Any:
    """Flash attention over packed rows, which torch has since 2.10 for 16-bit numbers from Ampere on; else None."""
    if device.type != "cuda" or dtype == torch.float32:
        return None
    if torch.cuda.get_device_capability(device) < FLASH_CAPABILITY:
        return None
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


class PackedAttention:
    """One launch over the packed rows."""

    def __init__(self, queries: Layout, keys: Layout, varlen_attn: Any) -> None:
        self._attend = varlen_attn
        self._bounds = queries.cumulative, keys.cumulative, queries.longest, keys.longest

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        """See `Attention`."""
        parts = [rows.view(len(rows), heads, -1) for rows in (queries, keys, values)]
        attended: Tensor = self._attend(*parts, *self._bounds)
        return attended.flatten(1)


class GroupedAttention:
    """Segments of similar lengths are padded and attended to together, with a mask unless they are equally long."""

    def __init__(self, queries: Layout, keys: Layout) -> None:
        self._groups = [_Group(queries, keys, members) for members in _similar(keys.lengths)]
        places = np.empty(queries.rows, np.int64)
        begin = 0
        for group in self._groups:
            places[group.rows] = begin + group.flat
            begin += group.size
        self._places = uploaded(places, queries.device)

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        """See `Attention`."""
        attended = [group(queries, keys, values, heads) for group in self._groups]
        return (attended[0] if len(attended) == 1 else torch.cat(attended))[self._places]


class _Group:
    def __init__(self, queries: Layout, keys: Layout, members: Indices) -> None:
        self._queries, asked = _padded(queries, members)
        self._keys, known = _padded(keys, members)
        self._mask = None if known.all() else uploaded(known[:, None, None], keys.device)
        self.size = asked.size
        self.flat: Indices = np.flatnonzero(asked)
        columns = queries.bounds[:-1][members, None] + np.arange(asked.shape[1])
        self.rows: Indices = columns[asked]

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
        """[G * Tq, D], with rows of no meaning beyond each segment's queries."""
        attended = functional.scaled_dot_product_attention(
            _by_head(queries, self._queries, heads),
            _by_head(keys, self._keys, heads),
            _by_head(values, self._keys, heads),
            attn_mask=self._mask,
        )
        return attended.transpose(1, 2).flatten(2).flatten(0, 1)


def _similar(lengths: Indices) -> list[Indices]:
    """The indices of segments, shortest first, in groups that may be padded to one length."""
    order = np.argsort(lengths, kind="stable")
    groups, begin = [], 0
    for place in range(1, len(order) + 1):
        if place == len(order) or lengths[order[place]] > SLACK_RATIO * lengths[order[begin]] + SLACK_ROWS:
            groups.append(order[begin:place])
            begin = place
    return groups


def _padded(layout: Layout, members: Indices) -> tuple[Tensor, np.ndarray[Any, np.dtype[np.bool_]]]:
    """The rows of some segments as a padded matrix: int64 [G, T] on the device, and bool [G, T], which are real."""
    longest = max(int(layout.lengths[members].max()), 1)
    inside = np.arange(longest) < layout.lengths[members, None]
    columns = layout.bounds[:-1][members, None] + np.arange(longest)
    return uploaded(np.where(inside, columns, 0), layout.device), inside


def _by_head(rows: Tensor, index: Tensor, heads: int) -> Tensor:
    """[R, D] → [G, heads, T, D / heads]."""
    return rows[index].view(*index.shape, heads, -1).transpose(1, 2)
