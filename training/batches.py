"""Batches for the recogniser: features, tokens, and the target running sums of its CIF weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.corpus import FRAME_CENTRE_MS, FRAME_MS, MEL_BINS, Segment, normalisation, stack_frames

STACKED, STRIDE = 7, 6
UPSAMPLED = 3
END_ID = 2
PADDING = -1

_STACKED_MS = STRIDE * FRAME_MS  # one encoder frame
_UNIT_MS = _STACKED_MS / UPSAMPLED  # one upsampled frame
_UNIT_DELAY = 2.0
"""FunASR reads a crossing in unit u as (u - 1.5) * 20 ms; a crossing at x lies in unit floor(x), x - 0.5 on average."""
_HALF_PEAK_UNITS = 2.0
_END_MS = 120.0
"""How long after the last word the weight of `</s>` lies."""


@dataclass(frozen=True)
class Batch:
    """Padded tensors of one batch; B examples, T encoder frames, N tokens with `</s>`."""

    features: Tensor  # [B, T, 560] float32, normalised
    lengths: Tensor  # [B] int64
    tokens: Tensor  # [B, N] int64, PADDING behind the end
    token_counts: Tensor  # [B] int64
    frame_tokens: Tensor  # [B, T] int64: the token under each frame, 0 for silence, -100 for padding
    weight_sums: Tensor  # [B, T] float32: the running sum of CIF weights after each frame
    unit_sums: Tensor  # [B, 3T] float32: the same for the timestamp head


def weight_sums(spans: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """The target running sum of CIF weights after each of `frames` encoder frames, shape [frames].

    It rises by one over the duration of each token, then by one for `</s>` within 120 ms of the end.
    """
    places = (spans + (_STACKED_MS / 2 - FRAME_CENTRE_MS)) / _STACKED_MS
    end = min(float(places[-1, 1]), frames - 1.0)
    places = np.minimum(places.flatten(), end)
    places = np.append(places, min(end + _END_MS / _STACKED_MS, frames))
    values = np.append((np.arange(len(spans))[:, None] + (0, 1)).flatten(), len(spans) + 1)
    return np.asarray(np.interp(np.arange(1, frames + 1), places, values, left=0), np.float32)


def unit_sums(spans: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """The target sum for the timestamp head, shape [3 * frames]: it passes i where token i starts, N + 1 at the end.

    Half a unit of weight lies on either side of each start, so that a small error in the sum shifts a time slightly
    but never by a whole token.
    """
    units = frames * UPSAMPLED
    starts = np.append(spans[:, 0], spans[-1, 1]) / _UNIT_MS + _UNIT_DELAY
    half = np.minimum(_HALF_PEAK_UNITS, np.diff(starts) / 2)
    count = len(starts)
    order = np.arange(1, count)
    places = np.concatenate([[max(starts[0] - 2 * _HALF_PEAK_UNITS, 0)], starts, starts[:-1] + half, starts[1:] - half])
    values = np.concatenate([[0], np.arange(1, count + 1), order + 0.5, order + 0.5])
    ranked = np.lexsort((values, places))
    return np.asarray(np.interp(np.arange(1, units + 1), places[ranked], values[ranked], left=0), np.float32)


def frame_tokens(spans: NDArray[np.float32], tokens: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """The token spoken at the middle of each encoder frame, 0 in silence; shape [frames]."""
    middles = np.arange(frames) * _STACKED_MS + FRAME_CENTRE_MS
    index = np.searchsorted(spans[:, 0], middles, side="right") - 1
    spoken = (index >= 0) & (middles < spans[np.maximum(index, 0), 1])
    return np.where(spoken, tokens[np.maximum(index, 0)], 0)


class Batches:
    """Endless shuffled batches of segments of similar length, slightly augmented each time."""

    def __init__(self, segments: Sequence[Segment], frames_per_batch: int, seed: int) -> None:
        self._segments = segments
        self._generator = np.random.default_rng(seed)
        self._frames_per_batch = frames_per_batch
        self.shift, self.scale = normalisation(
            stack_frames(segment.features, STACKED, STRIDE) for segment in segments[:1500]
        )

    def __iter__(self) -> Iterator[Batch]:
        while True:
            noisy = [len(s.features) * self._generator.uniform(0.9, 1.1) for s in self._segments]
            groups: list[list[int]] = [[]]
            for index in np.argsort(noisy):
                longest = -(-len(self._segments[index].features) // STRIDE)
                if groups[-1] and (len(groups[-1]) + 1) * longest > self._frames_per_batch:
                    groups.append([])
                groups[-1].append(int(index))
            for place in self._generator.permutation(len(groups)):
                yield self._collate([self._changed(self._segments[index]) for index in groups[place]])

    def _changed(self, segment: Segment) -> Segment:
        """Augment with a random start within one encoder frame, a random level, and masked time and frequency bands."""
        generator = self._generator
        skip = int(generator.integers(0, STRIDE))
        features = segment.features[skip:].astype(np.float32) + np.float32(generator.normal(0, 0.5))
        if generator.random() < 0.7:
            start, width = generator.integers(0, MEL_BINS - 12), generator.integers(1, 12)
            features[:, start : start + width] = features.mean()
        if generator.random() < 0.5:
            start, width = generator.integers(0, max(len(features) - 12, 1)), generator.integers(1, 12)
            features[start : start + width] = features.mean(0)
        spans = np.clip(segment.spans - np.float32(skip * FRAME_MS), 0, None)
        return Segment(features.astype(np.float16), segment.tokens, spans)

    def _collate(self, segments: list[Segment]) -> Batch:
        stacked = [stack_frames(s.features, STACKED, STRIDE).astype(np.float32) for s in segments]
        frames = [len(features) for features in stacked]
        tokens = [np.append(s.tokens, END_ID) for s in segments]
        spans = [s.spans for s in segments]
        shift, scale = self.shift.astype(np.float32), self.scale.astype(np.float32)
        return Batch(
            features=_padded([(features + shift) * scale for features in stacked], 0),
            lengths=torch.tensor(frames),
            tokens=_padded(tokens, PADDING),
            token_counts=torch.tensor([len(t) for t in tokens]),
            frame_tokens=_padded(
                [frame_tokens(s.spans, s.tokens, n) for s, n in zip(segments, frames, strict=True)], -100
            ),
            weight_sums=_padded([weight_sums(s, n) for s, n in zip(spans, frames, strict=True)], None),
            unit_sums=_padded([unit_sums(s, n) for s, n in zip(spans, frames, strict=True)], None),
        )


def _padded(arrays: Sequence[NDArray[Any]], value: float | None) -> Tensor:
    """Arrays [n, ...] → [B, max n, ...], padded with `value` or, for None, with each array's last element."""
    longest = max(map(len, arrays))
    rows = []
    for array in arrays:
        widths = [(0, longest - len(array))] + [(0, 0)] * (array.ndim - 1)
        rows.append(
            np.pad(array, widths, mode="edge") if value is None else np.pad(array, widths, constant_values=value)
        )
    return torch.from_numpy(np.stack(rows))
