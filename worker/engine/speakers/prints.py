"""The voice print of each speaker of a recording: the mean of the embeddings of its windows.

Embeddings are normalised before, so that all windows count alike, and the mean after: prints are compared by cosine, as
in speaker verification.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.transcript.voice_prints import VoicePrint, unit_print
from worker.engine.speakers.clustering import Labels
from worker.engine.speakers.windows import SAMPLE_RATE, WINDOW_SAMPLES, Windows

WHOLE_MS = WINDOW_SAMPLES * 1000 // SAMPLE_RATE


def voice_prints(windows: Windows, speakers: Labels) -> dict[int, VoicePrint]:
    """Return the prints of the speakers, by number, of windows (RECORD [n], ordered by channel and time).

    speakers: int64 [n], the speaker of each window. A window that was padded with silence counts only where a speaker
    has no others.
    """
    vectors = windows["embedding"].astype(np.float64)
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    new_ms = _new_ms(windows)
    whole = windows["end_ms"].astype(np.int64) - windows["start_ms"] >= WHOLE_MS
    prints = {}
    for speaker in np.unique(speakers):
        theirs = speakers == speaker
        chosen = theirs & whole if (theirs & whole).any() else theirs
        prints[int(speaker)] = unit_print(units[chosen].mean(axis=0).tolist(), int(new_ms[chosen].sum()))
    return prints


def _new_ms(windows: Windows) -> NDArray[np.int64]:
    """Return the milliseconds of each window that the one before does not hold already; int64 [n]."""
    starts, ends = windows["start_ms"].astype(np.int64), windows["end_ms"].astype(np.int64)
    if len(windows) > 1:
        same = windows["channel"][1:] == windows["channel"][:-1]
        starts[1:] = np.where(same, np.maximum(starts[1:], np.minimum(ends[:-1], ends[1:])), starts[1:])
    return ends - starts
