"""Where the rows of packed segments are: computed on the host, copied to the device without waiting for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.features import uploaded

Indices = NDArray[np.int64]


class Layout:
    """The segments of a batch, one after the other in the rows of a matrix.

    Segment n is the rows from `bounds[n]` to `bounds[n + 1]`; it may be empty. What is on the device is copied there
    when it is first asked for.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.device = device
        self.lengths: Indices = np.asarray(lengths, np.int64)
        self.bounds: Indices = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        self.rows = int(self.bounds[-1])
        self.longest = int(self.lengths.max(initial=0))
        self._spread: dict[int, Tensor] = {}

    @cached_property
    def host_numbers(self) -> Indices:
        """int64 [R]: each row's number within its segment, from 0."""
        return np.arange(self.rows) - np.repeat(self.bounds[:-1], self.lengths)

    @cached_property
    def numbers(self) -> Tensor:
        """`host_numbers` on the device."""
        return uploaded(self.host_numbers, self.device)

    @cached_property
    def cumulative(self) -> Tensor:
        """int32 [B + 1]: `bounds` on the device, as attention over packed rows takes them."""
        return uploaded(self.bounds.astype(np.int32), self.device)

    @cached_property
    def borders(self) -> Tensor:
        """int32 [2, R]: of each row's segment, the first row and the row after the last."""
        pairs = np.stack([self.bounds[:-1], self.bounds[1:]])
        return uploaded(np.repeat(pairs, self.lengths, axis=1).astype(np.int32), self.device)

    @cached_property
    def grid(self) -> Tensor:
        """int64 [B, T]: the row at each place of a padded batch; some row of the batch beyond a segment's end."""
        columns = self.bounds[:-1, None] + np.arange(self.longest)
        return uploaded(np.minimum(columns, max(self.rows - 1, 0)), self.device)

    @cached_property
    def inside(self) -> Tensor:
        """Whether a place of a padded batch holds a row: bool [B, T]."""
        return uploaded(np.arange(self.longest) < self.lengths[:, None], self.device)

    @cached_property
    def places(self) -> Tensor:
        """int64 [R]: each row's place in a padded batch [B, T], flattened."""
        first = np.repeat(np.arange(len(self.lengths)) * self.longest, self.lengths)
        return uploaded(first + self.host_numbers, self.device)

    def scaled(self, factor: int) -> Layout:
        """The layout in which each row has become `factor` rows."""
        return Layout((self.lengths * factor).tolist(), self.device)

    def windows(self, left: int, right: int) -> Tensor:
        """int64 [R, left + 1 + right]: each row's neighbours within its segment; beyond its borders, row R."""
        near = np.arange(self.rows)[:, None] + np.arange(-left, right + 1)
        first, last = (np.repeat(edge, self.lengths)[:, None] for edge in (self.bounds[:-1], self.bounds[1:]))
        return uploaded(np.where((near >= first) & (near < last), near, self.rows), self.device)

    def spread(self, gap: int) -> Tensor:
        """int64 [R]: each row's place if `gap` empty rows follow each segment."""
        if gap not in self._spread:
            before = gap * np.repeat(np.arange(len(self.lengths)), self.lengths)
            self._spread[gap] = uploaded(np.arange(self.rows) + before, self.device)
        return self._spread[gap]

    def steps(self) -> tuple[Tensor, Tensor, Tensor]:
        """The rows in the order of a packed sequence: all first rows, longest segment first, then all second rows, ….

        int64 [R], on the device: the row at each step, and each row's step; int64 [T] on the host: rows in each step.
        """
        order = np.argsort(-self.lengths, kind="stable")
        lengths = self.lengths[order]
        alive = np.arange(self.longest)[:, None] < lengths  # [T, B]
        rows = (self.bounds[:-1][order] + np.arange(self.longest)[:, None])[alive]
        steps = np.empty(self.rows, np.int64)
        steps[rows] = np.arange(self.rows)
        return uploaded(rows, self.device), uploaded(steps, self.device), torch.from_numpy(alive.sum(axis=1))
