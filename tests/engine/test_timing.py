"""Token times against FunASR's ts_prediction_lfr6_standard."""

from __future__ import annotations

import numpy as np
import torch

from worker.engine.recognition.timing import token_times


def test_times_equal_funasr() -> None:
    from funasr.utils.timestamp_tools import cif_wo_hidden, ts_prediction_lfr6_standard

    generator = np.random.default_rng(11)
    compared = 0
    for _ in range(500):
        frames = 3 * int(generator.integers(4, 300))
        predicted = int(generator.integers(1, max(frames // 6, 2)))
        tokens = max(predicted - int(generator.integers(0, 3)), 0)  # some are special tokens
        weights = np.maximum(generator.random(frames) ** 6 - 0.02, 0).astype(np.float32)
        weights *= np.float32(predicted) / weights.sum()
        if weights.max() > 0.9:  # more than one fire per frame: FunASR's own loop loses tokens
            continue
        scaled = torch.from_numpy(weights.copy())
        peaks = cif_wo_hidden(scaled[None], 1.0 - 1e-4)[0]
        _, expected = ts_prediction_lfr6_standard(scaled, peaks, ["字"] * tokens)
        assert token_times(weights, tokens).tolist() == expected
        compared += 1
    assert compared > 300


def test_more_tokens_than_frames_still_have_times() -> None:
    times = token_times(np.full(6, 2.0, np.float32), 12)
    assert times.shape == (12, 2)
    assert (np.diff(times[:, 0]) >= 0).all()


def test_weights_that_are_not_numbers_still_give_times() -> None:
    assert token_times(np.full(30, np.nan, np.float32), 3).shape == (3, 2)
