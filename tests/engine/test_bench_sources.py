"""What the benchmarks measure with: the same audio every time, and a bundle of the right size and rate."""

from __future__ import annotations

import numpy as np

from bench import audio
from bench.models import PUNCTUATION_VOCABULARY, VOCABULARY, punctuation_tokens, recognition_tokens
from bench.random_speech import random_file


def test_a_recording_is_the_same_every_time_and_unlike_the_next() -> None:
    first, again, other = audio.compose(3, 0), audio.compose(3, 0), audio.compose(3, 1)
    assert len(first) == 3 * audio.SAMPLE_RATE
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first.astype(np.int32)).max() > 1000


def test_a_random_file_depends_on_its_number_alone() -> None:
    files = [random_file(number) for number in range(6)]
    assert np.array_equal(random_file(3).samples, files[3].samples)
    assert all(1 <= len(file.samples) / audio.SAMPLE_RATE <= 60 for file in files)
    assert any(file.script for file in files)
    assert any(file.script is None for file in files)


def test_the_vocabularies_have_the_size_of_the_production_model() -> None:
    tokens = recognition_tokens()
    assert len(tokens) == len(set(tokens)) == VOCABULARY
    words = punctuation_tokens(recognition_tokens())
    assert len(words) == len(set(words)) == PUNCTUATION_VOCABULARY
    assert {token.replace("@@", "") for token in tokens[3:-1]} <= set(words)
