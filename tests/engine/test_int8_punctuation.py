"""Punctuation in int8, with the machine's own instructions and, in a child process, with AVX2's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import ModelUnavailable
from tests.engine.avx2 import WITH_AVX2, output_with_avx2
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.bundles.loading import ModelPart
from worker.engine.int8_punctuation import Int8Punctuation
from worker.engine.punctuation.punctuator import Punctuator

SMALLEST_SHARE_EQUAL = 0.97


@pytest.fixture(scope="module")
def part(random_bundle: Path) -> ModelPart:
    return loading.load(from_directory(random_bundle), "cpu").punc


def windows(part: ModelPart, count: int) -> list[list[int]]:
    generator = np.random.default_rng(11)
    lengths = generator.integers(1, 60, count)
    return [generator.integers(1, len(part.tokens), length).tolist() for length in lengths]


def test_scores_are_the_same_to_the_last_bit_in_any_batch(part: ModelPart) -> None:
    network, chosen = Int8Punctuation(part.module), windows(part, 7)
    with torch.inference_mode():
        alone = [network([window])[0].numpy() for window in chosen]
        for order in ([0, 1, 2, 3, 4, 5, 6], [6, 2, 0], [4, 5, 1, 3]):
            together = network([chosen[place] for place in order])
            for scores, place in zip(together, order, strict=True):
                np.testing.assert_array_equal(scores.numpy(), alone[place])


def test_nearly_all_labels_are_those_of_fp32(part: ModelPart) -> None:
    chosen = windows(part, 40)
    cpu = torch.device("cpu")
    int8 = Punctuator(part.module, part.tokens, cpu, scores=Int8Punctuation(part.module))
    fp32 = Punctuator(part.module, part.tokens, cpu)
    found, wanted = np.concatenate(int8.label(chosen)), np.concatenate([fp32.label([one])[0] for one in chosen])
    assert len(set(wanted.tolist())) > 2
    assert (found == wanted).mean() >= SMALLEST_SHARE_EQUAL
    scores = Int8Punctuation(part.module)(chosen[:1])[0]
    assert not torch.equal(
        scores, part.module.punc_forward(torch.tensor([chosen[0]]), torch.tensor([len(chosen[0])]))[0][0]
    )


def test_an_encoder_of_another_kind_is_refused_by_name(part: ModelPart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part.module.encoder, "normalize_before", False)
    with pytest.raises(ModelUnavailable, match="The punctuation model's encoder"):
        Int8Punctuation(part.module)


@pytest.mark.skipif(WITH_AVX2, reason="this is the child process")
def test_the_same_on_a_processor_with_avx2_only() -> None:
    assert "3 passed, 1 skipped" in output_with_avx2(__file__)
