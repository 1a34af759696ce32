"""The windows of speech that are compared, and how they are stored.

Windows are cut as in FunASR's `funasr/models/campplus/utils.py` (`sv_chunk`): 1.5 s each, inside one VAD segment; the
last one of a segment is moved back so that it ends with the segment, and a shorter segment is padded with zeros. FunASR
moves on by 0.75 s, we by 1.5 s: docs/quality.md shows that this finds the same speakers for half of the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
SAMPLES_PER_MS = SAMPLE_RATE // 1000
WINDOW_SAMPLES = 24_000
SHIFT_SAMPLES = 24_000
EMBEDDING = 192

Samples = NDArray[np.int16]
Windows = NDArray[np.void]

RECORD = np.dtype([("channel", "u1"), ("start_ms", "<u4"), ("end_ms", "<u4"), ("embedding", "<f2", (EMBEDDING,))])
"""A stored window: its channel, its place in the recording, and its embedding. 393 bytes."""


def spans(samples: int, shift: int = SHIFT_SAMPLES) -> list[tuple[int, int]]:
    """The windows of a segment of `samples` samples, as (start, end) in samples of the segment."""
    bounds: list[tuple[int, int]] = []
    reached = 0
    for start in range(0, samples, shift):
        end = min(start + WINDOW_SAMPLES, samples)
        if end <= reached:
            break
        reached = end
        bounds.append((max(0, end - WINDOW_SAMPLES), end))
    return bounds


def cut(segment: Samples, places: Sequence[tuple[int, int]]) -> Samples:
    """The samples of windows of a segment, int16 [n, 24000]; a window of a shorter segment ends in zeros."""
    windows = np.zeros((len(places), WINDOW_SAMPLES), np.int16)
    for window, (start, end) in zip(windows, places, strict=True):
        window[: end - start] = segment[start:end]
    return windows


def records(
    channel: int, segment_ms: int, places: Sequence[tuple[int, int]], embeddings: NDArray[np.float16]
) -> Windows:
    """The windows of a segment that starts at `segment_ms`, with embeddings float16 [n, 192], as RECORD [n]."""
    made = np.zeros(len(places), RECORD)
    made["channel"] = channel
    made["start_ms"] = [segment_ms + start // SAMPLES_PER_MS for start, _ in places]
    made["end_ms"] = [segment_ms + end // SAMPLES_PER_MS for _, end in places]
    made["embedding"] = embeddings
    return made


def packed(windows: Sequence[Windows]) -> bytes:
    """Windows as bytes, for storage with a part; `unpacked` reads them."""
    return b"".join(each.tobytes() for each in windows)


def unpacked(stored: Sequence[bytes]) -> Windows:
    """All windows of a recording, RECORD [n], ordered by channel and time.

    Raises ValueError if the bytes of a part are not a whole number of windows.
    """
    windows = np.concatenate([np.zeros(0, RECORD), *(np.frombuffer(part, RECORD) for part in stored)])
    return windows[np.lexsort((windows["end_ms"], windows["start_ms"], windows["channel"]))]
