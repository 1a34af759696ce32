"""Converts CIF weights to token times: upsampled ones, and those of a model that has no others.

The upsampled CIF weights of a segment (one per 20 ms) fire where a token begins ("Achieving timestamp
prediction while recognizing with non-autoregressive end-to-end ASR model", arXiv 2301.12343). The rules are
those of FunASR's `ts_prediction_lfr6_standard`; the accumulation is done in float32, step by step, as there,
because a rounding difference moves a fire by a whole frame.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

ENCODER_FRAME_SECONDS = 10.0 * 6 / 1000
"""A frame of the encoder: 10 ms frames, 6 of them in one low-frame-rate frame."""

FRAME_SECONDS = ENCODER_FRAME_SECONDS / 3
"""One upsampled frame."""

FIRE_THRESHOLD = 1.0 - 1e-4
FIRE_SHIFT_FRAMES = -1.5
MAX_TOKEN_FRAMES = 12
"""A token that seems to last longer is followed by silence."""

MAX_ESTIMATED_FRAMES = 10
"""A token that seems to last longer, in frames of the encoder, follows silence."""

EDGE_FRAMES = 5
"""The last token extends to the end of the segment if it fires at most this many frames before it."""


def _fires_loop(weights: NDArray[np.float32], threshold: np.float32) -> NDArray[np.int64]:
    """Frames at which the running sum of `weights` (float32 [frames]) reaches the threshold."""
    fired = np.empty(len(weights), np.int64)
    count = 0
    total = np.float32(0)
    for frame in range(len(weights)):
        total += weights[frame]
        if total >= threshold:
            fired[count] = frame
            count += 1
            total -= threshold
    return fired[:count]


try:
    _fires = numba.njit(cache=True, nogil=True)(_fires_loop)
except RuntimeError:  # no writable cache for the compiled code: a read-only installation compiles at each start
    _fires = numba.njit(nogil=True)(_fires_loop)


def token_times(weights: NDArray[np.float32], token_count: int) -> NDArray[np.int64]:
    """Begin and end of each token of a segment.

    `weights` is float32 [upsampled frames], already scaled to sum to the number of tokens the predictor
    counted; `token_count` is their number without the special ones. Returns int64 [token_count, 2] in milliseconds
    from the start of the segment. As in FunASR, the first token may begin up to 30 ms before the segment and the
    last may end up to 35 ms after it.
    """
    if token_count == 0:
        return np.empty((0, 2), np.int64)
    threshold = np.float32(FIRE_THRESHOLD)
    fires = _fires(weights, threshold)
    if len(fires) != token_count + 1:
        scale = weights.sum(dtype=np.float32) / np.float32(token_count + 1)
        fires = _fires((weights / scale).astype(np.float32), threshold)
    frames = len(weights)
    if len(fires) != token_count + 1:  # fewer frames than tokens, or NaN weights
        fires = np.linspace(0, frames, token_count + 1).astype(np.int64)
    return _spans(fires.astype(np.float64) + FIRE_SHIFT_FRAMES, frames)


def _spans(places: NDArray[np.float64], frames: int) -> NDArray[np.int64]:
    """Fire positions, float64 [tokens + 1] in frames → int64 [tokens, 2] in milliseconds."""
    begins, ends = places[:-1], places[1:].copy()
    long = ends - begins > MAX_TOKEN_FRAMES
    ends[long] = begins[long] + MAX_TOKEN_FRAMES
    if not long[-1]:
        last = places[-1]
        ends[-1] = (frames + last) * 0.5 if frames - last > EDGE_FRAMES else frames
    seconds = np.stack([begins, ends], axis=1) * FRAME_SECONDS
    return (seconds * 1000).astype(np.int64)


def estimated_times(weights: NDArray[np.float32], token_count: int) -> NDArray[np.int64]:
    """Begin and end of each token of a segment, estimated from the weights that count its tokens.

    `weights` is float32 [frames] of the encoder, not scaled; `token_count` counts all tokens, also special ones. A
    token fires in the frame that lets the running sum of weights reach its number, or in the tail after the last frame.
    It ends there, shifted like the fires of upsampled weights, and begins where the one before ends. Returns int64
    [token_count, 2] in milliseconds from the start of the segment, in steps of 60 ms.
    """
    fires = np.searchsorted(np.cumsum(weights, dtype=np.float64), np.arange(1, token_count + 1))
    ends = np.maximum(fires + 1 + FIRE_SHIFT_FRAMES, 0.0)
    begins = np.maximum(np.concatenate([[0.0], ends])[:-1], ends - MAX_ESTIMATED_FRAMES)
    seconds = np.stack([begins, ends], axis=1) * ENCODER_FRAME_SECONDS
    return np.rint(seconds * 1000).astype(np.int64)
