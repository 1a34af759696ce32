"""The networks of a GPU, here on the CPU: equal to FunASR's modules, near them in 16 bits, and in few launches."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from bench.launches import launches
from bench.random_speech import random_file
from worker.engine.assembly import paraformer_of
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.device.choice import keep_float32_exact
from worker.engine.features import AsrFrontend, load_cmvn
from worker.engine.recognition.gpu.attention import GroupedAttention
from worker.engine.recognition.gpu.kernels import TorchKernels
from worker.engine.recognition.gpu.layout import Layout
from worker.engine.recognition.gpu.networks import GpuNetworks
from worker.engine.recognition.networks import PaddedNetworks, Scores

CPU = torch.device("cpu")
FRAMES = (31, 8, 1, 120, 64, 64, 3)
SIXTEEN = {"bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.fixture(scope="module")
def model(random_bundle: Path) -> Any:
    return loading.load(from_directory(random_bundle), "cpu").asr.module


@pytest.fixture(scope="module")
def segments() -> list[Tensor]:
    torch.manual_seed(3)
    return [torch.randn(frames, 560) for frames in FRAMES]


def scores(networks: Any, segments: Sequence[Tensor]) -> Scores:
    scores: Scores = networks(pad_sequence(list(segments), batch_first=True), torch.tensor(list(map(len, segments))))
    return scores


def test_fp32_equals_funasrs_modules(model: Any, segments: list[Tensor]) -> None:
    packed = scores(GpuNetworks(model, CPU), segments)
    alone = [scores(PaddedNetworks(model, CPU), [segment]) for segment in segments]
    assert packed.counts == [one.counts[0] for one in alone]
    assert sum(packed.counts) > 50
    assert packed.ids.tolist() == np.concatenate([one.ids for one in alone]).tolist()
    expected = np.concatenate([one.log_probabilities for one in alone])
    np.testing.assert_allclose(packed.log_probabilities, expected, rtol=1e-5, atol=3e-5)
    for weights, one in zip(packed.weights, alone, strict=True):
        np.testing.assert_allclose(weights, one.weights[0], atol=1e-5)


@torch.inference_mode()
def test_the_encoder_equals_funasrs_and_16_bits_are_nearer_to_it_than_autocast(
    model: Any, segments: list[Tensor]
) -> None:
    layout = Layout(FRAMES, CPU)
    rows = torch.cat(segments)
    expected = torch.cat([model.encode(one[None], torch.tensor([len(one)]))[0][0] for one in segments])
    errors = {}
    for precision in ("fp32", *SIXTEEN):
        hidden = GpuNetworks(model, CPU, precision)._encoder(rows, layout)
        errors[precision] = float((hidden - expected).norm() / expected.norm())
        if precision == "fp32":
            np.testing.assert_allclose(hidden.numpy(), expected.numpy(), atol=1e-5)
    for precision, dtype in SIXTEEN.items():
        with torch.autocast("cpu", dtype):
            cast = [model.encode(one[None], torch.tensor([len(one)]))[0][0].float() for one in segments]
        error = float((torch.cat(cast) - expected).norm() / expected.norm())
        assert 1e-5 < errors[precision] < 0.7 * error


def test_segments_without_tokens_and_an_empty_batch_of_tokens(model: Any, segments: list[Tensor]) -> None:
    networks = GpuNetworks(model, CPU)
    predictor = model.predictor
    bias = predictor.cif_output.bias.detach().clone()
    try:
        predictor.cif_output.bias.data.fill_(-30)  # nothing fires
        silent = scores(networks, segments)
        assert silent.counts == [0] * len(segments)
        assert len(silent.ids) == 0
        predictor.cif_output.bias.data.copy_(bias - 1)
        some = scores(networks, segments)
        assert 0 in some.counts
        assert sum(some.counts) == len(some.ids) > 5
    finally:
        predictor.cif_output.bias.data.copy_(bias)


@pytest.mark.parametrize("precision", SIXTEEN)
def test_16_bits_on_eight_files(demo_bundle: Path, precision: str) -> None:
    """Nearly the text of fp32, from products that really are in 16 bits."""
    bundle = loading.load(from_directory(demo_bundle), "cpu")
    frontend = AsrFrontend(load_cmvn(bundle.asr.files["am.mvn"]))
    batch = frontend([random_file(number).samples[:160_000] for number in range(8)])
    full = GpuNetworks(bundle.asr.module, CPU)(*batch)
    half = GpuNetworks(bundle.asr.module, CPU, precision)(*batch)
    assert len(full.ids) > 100
    assert SequenceMatcher(None, full.ids.tolist(), half.ids.tolist(), autojunk=False).ratio() > 0.98
    assert not np.array_equal(half.log_probabilities, full.log_probabilities)


def test_few_launches(model: Any, segments: list[Tensor]) -> None:
    """This model has 8 + 4 layers: 8 launches for each of the encoder's, 10 for each of the decoder's, and the rest."""
    packed, padded = GpuNetworks(model, CPU, "bf16"), PaddedNetworks(model, CPU, "bf16")
    batch = pad_sequence(segments, batch_first=True), torch.tensor(FRAMES)
    count = launches(lambda: packed(*batch))
    assert 8 * 8 + 4 * 10 < count <= 8 * 8 + 4 * 10 + 90
    assert launches(lambda: padded(*batch)) > 2.5 * count


@pytest.mark.parametrize("left", [0, 5, 10])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_memory_block_stops_at_the_borders(left: int, dtype: torch.dtype) -> None:
    layout, taps = Layout([7, 0, 1, 30], CPU), torch.randn(11, 6)
    values, residual = torch.randn(38, 9).to(dtype)[:, 3:], torch.randn(38, 6)
    out = TorchKernels().remember(values, taps, left, layout, residual)
    expected = residual + values.float()
    for begin, end in pairwise(layout.bounds.tolist()):
        for row in range(begin, end):
            for tap in range(11):
                if begin <= row + tap - left < end:
                    expected[row] += taps[tap] * values[row + tap - left].float()
    np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-5)
    without = TorchKernels().remember(values, taps, left, layout, None)
    np.testing.assert_allclose((without + residual).numpy(), expected.numpy(), atol=1e-5)


def test_attention_stays_within_segments_of_any_mix_of_lengths() -> None:
    queries, keys = Layout([3, 0, 5, 1, 9, 2], CPU), Layout([40, 12, 41, 3, 200, 12], CPU)
    torch.manual_seed(1)
    asked, known = torch.randn(queries.rows, 8), torch.randn(keys.rows, 24)
    attended = GroupedAttention(queries, keys)(asked, known[:, :8], known[:, 16:], heads=2)
    places = zip(pairwise(queries.bounds.tolist()), pairwise(keys.bounds.tolist()), strict=True)
    for (begin, end), (first, last) in places:
        parts = [asked[begin:end], known[first:last, :8], known[first:last, 16:]]
        split = [part.reshape(len(part), 2, 4).transpose(0, 1) for part in parts]
        alone = functional.scaled_dot_product_attention(split[0], split[1], split[2])
        expected = alone.transpose(0, 1).reshape(-1, 8)
        np.testing.assert_allclose(attended[begin:end].numpy(), expected.numpy(), atol=1e-6)


def test_a_packed_sequence_is_that_of_torch() -> None:
    lengths = [4, 0, 7, 7, 1]
    rows, steps, sizes = Layout(lengths, CPU).steps()
    bounds = Layout(lengths, CPU).bounds
    numbers = torch.arange(19, dtype=torch.float32)
    items = [numbers[begin:end] for begin, end in pairwise(bounds.tolist()) if end > begin]
    expected = torch.nn.utils.rnn.pack_sequence(items, enforce_sorted=False)
    assert numbers[rows].tolist() == expected.data.tolist()
    assert sizes.tolist() == expected.batch_sizes.tolist()
    assert rows[steps].tolist() == list(range(19))


def test_a_model_of_another_kind_falls_back_and_says_so(
    demo_bundle: Path, recordings: list[NDArray[np.int16]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = loading.load(from_directory(demo_bundle), "cpu")
    speech = [recordings[0][:64_000]]
    packed = paraformer_of(bundle, "packed")
    assert packed.description == "packed"
    monkeypatch.setattr(bundle.asr.module.encoder, "interctc_layer_idx", [3])
    other = paraformer_of(bundle, "packed")
    assert other.description == "padded: The recognition model's encoder is of an unsupported kind."
    monkeypatch.undo()
    texts = [[word.text for word in one.recognise(speech)[0]] for one in (packed, other)]
    assert texts[0] == texts[1] != []
    assert paraformer_of(bundle, "padded").description == "padded: as configured"


def test_float32_is_exact_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    keep_float32_exact()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
