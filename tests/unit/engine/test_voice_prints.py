"""Voice prints of made-up windows."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine.speakers.prints import voice_prints
from worker.engine.speakers.windows import RECORD, Windows


def windows(*rows: tuple[int, int, int, tuple[float, float]]) -> Windows:
    """Windows of (channel, start, end, the first values of the embedding)."""
    made = np.zeros(len(rows), RECORD)
    for record, (channel, start, end, values) in zip(made, rows, strict=True):
        record["channel"], record["start_ms"], record["end_ms"] = channel, start, end
        record["embedding"][:2] = values
    return made


def test_a_print_is_the_mean_of_the_directions_of_a_speakers_windows() -> None:
    found = voice_prints(
        windows((0, 0, 1500, (1, 0)), (0, 1500, 3000, (0, 9)), (0, 3000, 4500, (5, 0))), np.array([1, 1, 2])
    )
    assert found[1].vector[:2] == pytest.approx((0.5**0.5, 0.5**0.5))
    assert found[2].vector[:2] == pytest.approx((1, 0))
    assert len(found[1].vector) == 192
    assert (found[1].speech_ms, found[2].speech_ms) == (3000, 1500)


def test_speech_that_two_windows_share_counts_once() -> None:
    rows = windows((0, 0, 1500, (1, 0)), (0, 600, 2100, (1, 0)), (1, 700, 2200, (1, 0)))
    assert voice_prints(rows, np.array([1, 1, 1]))[1].speech_ms == 2100 + 1500


def test_a_short_window_counts_only_where_there_is_no_other() -> None:
    rows = windows((0, 0, 400, (0, 1)), (0, 2000, 3500, (1, 0)), (0, 5000, 5300, (0, 1)))
    found = voice_prints(rows, np.array([1, 1, 2]))
    assert (found[1].vector[:2], found[1].speech_ms) == ((1.0, 0.0), 1500)
    assert (found[2].vector[:2], found[2].speech_ms) == ((0.0, 1.0), 300)


def test_no_windows_no_prints() -> None:
    assert voice_prints(np.zeros(0, RECORD), np.zeros(0, np.int64)) == {}
