"""Error rates of speakers: diarization error rate, and character error rate with the best assignment of speakers.

DER as in NIST's Rich Transcription evaluations, without a collar and with overlaps counted: missed, false and confused
speaker time divided by all speaker time of the reference, under the best mapping of speakers. cpCER: the texts of each
speaker are joined, and the speakers assigned so that the edit distance is least (Watanabe et al., CHiME-6, 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

FRAME_MS = 10


class Span(NamedTuple):
    """A stretch of speech of a speaker."""

    speaker: int
    start_ms: int
    end_ms: int


def der(reference: Sequence[Span], hypothesis: Sequence[Span]) -> float:
    """The diarization error rate, in frames of 10 ms."""
    frames = max(span.end_ms for span in (*reference, *hypothesis)) // FRAME_MS + 1
    said, heard = _active(reference, frames), _active(hypothesis, frames)
    together = said.astype(np.int64) @ heard.T.astype(np.int64)
    rows, columns = linear_sum_assignment(-together)
    counts = said.sum(axis=0), heard.sum(axis=0)
    right = sum((said[row] & heard[column]).sum() for row, column in zip(rows, columns, strict=True))
    return float((np.maximum(*counts).sum() - right) / counts[0].sum())


def _active(spans: Sequence[Span], frames: int) -> NDArray[np.bool_]:
    """Who speaks in which frame, bool [speakers, frames]."""
    names = sorted({span.speaker for span in spans})
    active = np.zeros((len(names), frames), bool)
    for span in spans:
        active[names.index(span.speaker), span.start_ms // FRAME_MS : span.end_ms // FRAME_MS] = True
    return active


def cp_cer(reference: Sequence[tuple[int, str]], hypothesis: Sequence[tuple[int, str]]) -> float:
    """The character error rate of texts by speaker, under the best assignment; a speaker may be left alone."""
    said, heard = _texts(reference), _texts(hypothesis)
    size = max(len(said), len(heard))
    said, heard = said + [""] * (size - len(said)), heard + [""] * (size - len(heard))
    costs = np.array([[Levenshtein.distance(one, other) for other in heard] for one in said])
    return float(costs[linear_sum_assignment(costs)].sum() / sum(map(len, said)))


def _texts(said: Sequence[tuple[int, str]]) -> list[str]:
    joined: dict[int, str] = {}
    for speaker, text in said:
        joined[speaker] = joined.get(speaker, "") + "".join(filter(str.isalnum, text.lower()))
    return list(joined.values())
