"""Filter banks, stacking and normalisation against FunASR's frontends (kaldi-native-fbank)."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from funasr.frontends.wav_frontend import WavFrontend, WavFrontendOnline

from common.errors import ModelUnavailable
from training import speech, text
from worker.engine import features
from worker.engine.features import AsrFrontend, FeatureStream, fbank_frames, frames_of, load_cmvn, stacked

MODELS = Path(__file__).parents[2] / "models" / "demo-zh"
Int16 = npt.NDArray[np.int16]


@functools.cache
def recording() -> Int16:
    sentences = text.held_out_sentences(6, seed=1)
    samples = speech.compose(sentences, [speech.HELD_OUT_VOICES[0]], seed=7).samples
    noise = np.random.default_rng(0).normal(0, 1e-4, len(samples))
    return speech.to_pcm((samples + noise).astype(np.float32))


def funasr_features(samples: Int16, **options: object) -> torch.Tensor:
    frontend = WavFrontend(dither=0.0, **options)
    wave = torch.from_numpy(samples.astype(np.float32) / 32_768)[None]
    features: torch.Tensor = frontend(wave, torch.tensor([len(samples)]))[0][0]
    return features


def random_cuts(count: int) -> list[Int16]:
    generator = np.random.default_rng(count)
    samples = recording()
    starts = generator.integers(0, len(samples) - 16_000, count)
    lengths = np.exp(generator.uniform(np.log(401), np.log(160_000), count)).astype(int)
    return [samples[start : start + length] for start, length in zip(starts, lengths, strict=True)]


def test_log_mel_energies_are_kaldis() -> None:
    wave = torch.from_numpy(recording().astype(np.float32))
    actual = fbank_frames(frames_of(wave[None])[0])
    expected = funasr_features(recording())
    assert actual.shape == expected.shape
    # Cells 90 dB below their frame's loudest are rounding noise of the float32 FFT, in Kaldi's as in ours.
    error, depth = (actual - expected).abs(), expected.amax(1, keepdim=True) - expected
    assert float(error[depth < 18].max()) < 1e-3
    assert float(error.max()) < 5e-3
    assert float((error < 1e-3).float().mean()) > 0.99999


@pytest.mark.parametrize("kind", ["zeros", "constant", "noise", "clipped", "one"])
def test_odd_signals(kind: str) -> None:
    generator = np.random.default_rng(0)
    signals = {
        "zeros": np.zeros(8000),
        "constant": np.full(8000, 12),
        "noise": generator.normal(0, 3000, 8000),
        "clipped": np.clip(generator.normal(0, 90_000, 8000), -32_768, 32_767),
        "one": generator.integers(-1, 2, 8000),
    }
    samples = signals[kind].astype(np.int16)
    actual, _ = AsrFrontend(None, m=1, n=1)([samples])
    assert float((actual[0] - funasr_features(samples)).abs().max()) < 1e-3


def test_asr_features_are_funasrs_for_every_segment_of_a_batch() -> None:
    segments = [*random_cuts(40), recording()[:300], recording()[:400]]
    cmvn = MODELS / "asr" / "am.mvn"
    actual, lengths = AsrFrontend(load_cmvn(cmvn))(segments)
    assert actual.dtype == torch.float32
    for segment, item, length in zip(segments, actual, lengths.tolist(), strict=True):
        expected = funasr_features(segment, cmvn_file=str(cmvn), lfr_m=7, lfr_n=6)
        assert length == len(expected)
        assert float((item[:length] - expected).abs().max()) < 1e-3
        assert not item[length:].any()


def test_a_segments_features_do_not_depend_on_its_batch() -> None:
    segments = random_cuts(20)
    frontend = AsrFrontend(load_cmvn(MODELS / "asr" / "am.mvn"))
    together, lengths = frontend(segments)
    for segment, item, length in zip(segments, together, lengths.tolist(), strict=True):
        alone, _ = frontend([segment])
        assert torch.equal(alone[0], item[:length])


@pytest.mark.parametrize(("m", "n"), [(7, 6), (5, 1), (1, 1), (3, 2)])
def test_stacking_is_funasrs_at_every_length(m: int, n: int) -> None:
    for frames in range(1, 40):
        samples = recording()[50_000 : 50_000 + 400 + 160 * (frames - 1)]
        plain = funasr_features(samples)
        before = torch.cat([torch.full((5, plain.shape[1]), torch.nan), plain])  # another item's frames
        rows = stacked(before, torch.tensor([5]), torch.tensor([frames]), -(-frames // n), m, n)[0]
        assert torch.equal(rows, funasr_features(samples, lfr_m=m, lfr_n=n))


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_of_blocks_gives_what_funasrs_online_frontend_gives(seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples = recording()[: int(generator.integers(400, 200_000))]
    cmvn = MODELS / "vad" / "am.mvn"
    online = WavFrontendOnline(cmvn_file=str(cmvn), dither=0.0, lfr_m=5, lfr_n=1)
    wave = torch.from_numpy(samples.astype(np.float32) / 32_768)[None]
    expected = online(wave, torch.tensor([len(samples)]), is_final=True, cache={})[0][0]
    stream, parts, at = FeatureStream(5), [], 0
    while at < len(samples):
        size = int(generator.choice([1, 159, 400, 5000, 60_000]))
        parts.append(stream.accept(samples[at : at + size]))
        at += size
        saved, stream = stream.state(), FeatureStream(5)
        stream.restore(saved)
    parts.append(stream.accept(np.zeros(0, np.int16), final=True))
    assert torch.equal(torch.cat(parts), FeatureStream(5).accept(samples, final=True))
    actual = load_cmvn(cmvn).apply(torch.cat(parts))
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) < 1e-3


def test_float_and_int16_samples_give_the_same() -> None:
    as_float = recording().astype(np.float32) / np.float32(32_768)
    frontend = AsrFrontend(None)
    assert torch.equal(frontend([recording()])[0], frontend([as_float])[0])


def test_no_segments() -> None:
    actual, lengths = AsrFrontend(None)([])
    assert actual.shape == (0, 0, 560)
    assert lengths.shape == (0,)


def test_normalisation_is_read_as_funasr_reads_it(tmp_path: Path) -> None:
    from funasr.frontends.wav_frontend import load_cmvn as funasrs

    cmvn = load_cmvn(MODELS / "asr" / "am.mvn")
    assert torch.equal(torch.stack(cmvn), funasrs(MODELS / "asr" / "am.mvn"))
    broken = tmp_path / "am.mvn"
    broken.write_text("<Nnet> <AddShift> [ 1 2 ]")
    with pytest.raises(ModelUnavailable):
        load_cmvn(broken)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_gives_the_same() -> None:
    segments = random_cuts(10)
    cpu, _ = AsrFrontend(load_cmvn(MODELS / "asr" / "am.mvn"))(segments)
    gpu, _ = AsrFrontend(load_cmvn(MODELS / "asr" / "am.mvn"), device="cuda")(segments)
    assert float((cpu - gpu.cpu()).abs().max()) < 1e-3


def test_constants_belong_together() -> None:
    assert features.FRAME_SAMPLES == features.SAMPLE_RATE * 25 // 1000
    assert features.SHIFT_SAMPLES == features.SAMPLE_RATE // 100
