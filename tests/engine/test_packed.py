"""The networks over packed rows: fp32 equals FunASR's modules, int8 is the same to the last bit in any batch."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from common.errors import ConfigurationError, ModelUnavailable
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.features import AsrFrontend, load_cmvn
from worker.engine.recognition.linear import FLOAT, INT8
from worker.engine.recognition.networks import PackedNetworks, PaddedNetworks, Scores
from worker.engine.recognition.packed import Encoder

FRAMES = (31, 8, 1, 120, 64, 64, 3)


@pytest.fixture(scope="module")
def model(random_bundle: Path) -> Any:
    return loading.load(from_directory(random_bundle), "cpu").asr.module


@pytest.fixture(scope="module")
def segments() -> list[Tensor]:
    torch.manual_seed(3)
    return [torch.randn(frames, 560) for frames in FRAMES]


def scores(networks: Any, segments: list[Tensor]) -> Scores:
    scores: Scores = networks(pad_sequence(segments, batch_first=True), torch.tensor([len(s) for s in segments]))
    return scores


def test_fp32_equals_funasrs_modules_alone(model: Any, segments: list[Tensor]) -> None:
    packed = scores(PackedNetworks(model, FLOAT), segments)
    alone = [scores(PaddedNetworks(model, torch.device("cpu")), [segment]) for segment in segments]
    assert packed.counts == [one.counts[0] for one in alone]
    assert sum(packed.counts) > 50
    assert packed.ids.tolist() == np.concatenate([one.ids for one in alone]).tolist()
    np.testing.assert_allclose(
        packed.log_probabilities, np.concatenate([one.log_probabilities for one in alone]), atol=1e-4
    )
    for weights, one in zip(packed.weights, alone, strict=True):
        np.testing.assert_allclose(weights, one.weights[0], atol=1e-5)


def test_int8_is_the_same_to_the_last_bit_in_any_batch(model: Any, segments: list[Tensor]) -> None:
    networks = PackedNetworks(model, INT8)
    alone = [scores(networks, [segment]) for segment in segments]
    for order in (list(range(len(segments))), [3, 0, 6, 5, 1, 4, 2], [6, 3]):
        together = scores(networks, [segments[i] for i in order])
        assert together.counts == [alone[i].counts[0] for i in order]
        np.testing.assert_array_equal(together.ids, np.concatenate([alone[i].ids for i in order]))
        logs = np.concatenate([alone[i].log_probabilities for i in order])
        np.testing.assert_array_equal(together.log_probabilities, logs)
        for weights, i in zip(together.weights, order, strict=True):
            np.testing.assert_allclose(weights, alone[i].weights[0], atol=1e-5)


def test_half_precision_is_near_and_really_half(demo_bundle: Path, recordings: list[NDArray[np.int16]]) -> None:
    """What a GPU runs, here on the CPU: nearly the same tokens, from products in 16 bits."""
    bundle = loading.load(from_directory(demo_bundle), "cpu")
    frontend = AsrFrontend(load_cmvn(bundle.asr.files["am.mvn"]))
    batch = frontend([recordings[0][start : start + 64_000] for start in (0, 160_000, 320_000)])
    full = PaddedNetworks(bundle.asr.module, torch.device("cpu"))(*batch)
    half = PaddedNetworks(bundle.asr.module, torch.device("cpu"), "bf16")(*batch)
    same = SequenceMatcher(None, full.ids.tolist(), half.ids.tolist(), autojunk=False).ratio()
    assert len(full.ids) > 20
    assert same > 0.9
    assert np.isfinite(half.log_probabilities).all()
    assert not np.array_equal(half.log_probabilities, full.log_probabilities)


def test_int8_is_for_the_cpu_and_half_precision_for_gpus(random_bundle: Path) -> None:
    with pytest.raises(ConfigurationError, match="bf16 is for cuda"):
        loading.load(from_directory(random_bundle), "cpu", "bf16")
    with pytest.raises(ConfigurationError, match="int8 is for cpu"):
        loading.load(from_directory(random_bundle), "cuda:0", "int8")
    with pytest.raises(ConfigurationError, match="not one of"):
        loading.load(from_directory(random_bundle), "cpu", "int4")


def test_another_kind_of_encoder_is_refused(model: Any) -> None:
    model.encoder.normalize_before = False
    try:
        with pytest.raises(ModelUnavailable, match="encoder"):
            Encoder(model.encoder, FLOAT)
    finally:
        model.encoder.normalize_before = True
