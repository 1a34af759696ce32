"""Recognition in batches: nothing depends on what else is in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import ModelUnavailable
from common.transcript.values import Word
from worker.engine.assembly import paraformer_of
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.recognition.paraformer import Paraformer
from worker.engine.recognition.predictor import check_predictor


@pytest.fixture(scope="module")
def bundle(random_bundle: Path) -> loading.LoadedBundle:
    return loading.load(from_directory(random_bundle), "cpu")


@pytest.fixture(scope="module")
def recogniser(bundle: loading.LoadedBundle) -> Paraformer:
    return paraformer_of(bundle)


def plain(words: list[Word]) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_ms, word.end_ms) for word in words]


def test_a_segment_is_the_same_alone_and_in_any_batch(
    recogniser: Paraformer, recordings: list[NDArray[np.int16]]
) -> None:
    generator = np.random.default_rng(29)
    segments = []
    for _ in range(24):
        audio = recordings[int(generator.integers(len(recordings)))]
        length = int(generator.integers(400, 9 * 16_000))
        start = int(generator.integers(0, len(audio) - length))
        segments.append(audio[start : start + length])
    alone = [recogniser.recognise([segment])[0] for segment in segments]
    assert sum(map(len, alone)) > 200
    for size in (5, 24):
        order = generator.permutation(len(segments))
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            for index, words in zip(chosen, recogniser.recognise([segments[i] for i in chosen]), strict=True):
                assert plain(words) == plain(alone[index])
                confidences = [word.confidence for word in words]
                np.testing.assert_allclose(confidences, [w.confidence for w in alone[index]], rtol=1e-3)


def test_segments_without_words_leave_the_others(recogniser: Paraformer, recordings: list[NDArray[np.int16]]) -> None:
    speech = recordings[0][16_000:64_000]
    tiny, empty = np.zeros(399, np.int16), np.zeros(0, np.int16)
    alone = plain(recogniser.recognise([speech])[0])
    assert alone
    nothing, words, also_nothing = recogniser.recognise([tiny, speech, empty])
    assert (nothing, also_nothing) == ([], [])
    assert plain(words) == alone
    assert recogniser.recognise([tiny]) == [[]]
    assert recogniser.recognise([]) == []


def test_one_frame_is_enough(recogniser: Paraformer) -> None:
    for words in recogniser.recognise([np.ones(400, np.int16), np.ones(1600, np.int16)]):
        assert all(word.start_ms <= word.end_ms for word in words)


def test_another_kind_of_predictor_is_refused(bundle: loading.LoadedBundle) -> None:
    predictor = bundle.asr.module.predictor
    predictor.tail_threshold, before = 0.0, predictor.tail_threshold
    try:
        with pytest.raises(ModelUnavailable, match="tail_threshold"):
            check_predictor(predictor)
    finally:
        predictor.tail_threshold = before
