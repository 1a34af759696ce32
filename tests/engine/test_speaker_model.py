"""CAM++ with its real weights against FunASR, in any company, and inside the engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from funasr.models.campplus.utils import extract_feature, sv_chunk

from dev.speaker_model import speaker_model
from dev.wheels import NoWheel
from training import speech
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.speakers.campplus import Embedder, window_features
from worker.engine.speakers.windows import cut, records, spans, unpacked

Int16 = npt.NDArray[np.int16]


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return speaker_model()
    except NoWheel as error:
        pytest.skip(f"the real weights cannot be downloaded here: {error}")


def module(folder: Path) -> Any:
    return loading._load_part(loading._funasr_tables(), folder, ("CAMPPlus",), torch.device("cpu")).module


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder(module(folder), torch.device("cpu"), ComputeThreads(1))


def said(voice: int, text: str = "今天的天气很好，我们去公园吧。") -> Int16:
    return speech.to_pcm(speech.synthesize(text, speech.HELD_OUT_VOICES[voice]).samples)


@pytest.mark.parametrize("samples", [1, 5_000, 23_999, 24_000, 24_001, 36_000, 37_500, 90_001])
def test_windows_are_funasrs(samples: int) -> None:
    segment = np.random.default_rng(samples).integers(-3000, 3000, samples).astype(np.int16)
    theirs = sv_chunk([[0.0, samples / 16_000, segment]])
    places = spans(samples, shift=12_000)
    ours = cut(segment, places)
    assert [tuple(chunk[:2]) for chunk in theirs] == [(start / 16_000, end / 16_000) for start, end in places]
    assert np.array_equal(np.stack([chunk[2] for chunk in theirs]), ours)


def test_features_are_funasrs() -> None:
    windows = cut(said(0), spans(len(said(0))))
    theirs, _, _ = extract_feature([torch.from_numpy(window.astype(np.float32) / 32_768) for window in windows])
    assert torch.allclose(window_features(torch.from_numpy(windows)), theirs, atol=2e-3)


def test_embeddings_are_funasrs(folder: Path, embedder: Embedder) -> None:
    segment = said(1)
    windows = [window.astype(np.float32) / 32_768 for window in cut(segment, spans(len(segment)))]
    features, _, _ = extract_feature([torch.from_numpy(window) for window in windows])
    with torch.inference_mode():
        theirs = module(folder)(features).numpy()
    ours = embedder.embed([segment])[0].astype(np.float32)
    similarity = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert similarity.min() > 0.9999


def test_an_embedding_does_not_depend_on_its_company(embedder: Embedder) -> None:
    segments = [said(0), said(1), said(2)[:20_000], said(1, "你好。")]
    together = embedder.embed(segments)
    for segment, found in zip(segments, together, strict=True):
        assert np.array_equal(embedder.embed([segment])[0], found)
    assert np.array_equal(embedder.embed(segments[::-1])[0], together[-1])


def test_one_voice_is_nearer_to_itself_than_to_another(embedder: Embedder) -> None:
    again = "我们的会议从九点开始，到十一点结束。"
    means = [each.astype(np.float32).mean(0) for each in embedder.embed([said(0), said(0, again), said(1)])]
    first, second, other = (mean / np.linalg.norm(mean) for mean in means)
    assert first @ second > first @ other + 0.2


def test_stored_windows_are_read_back_in_order() -> None:
    embeddings = np.arange(3 * 192).reshape(3, 192).astype(np.float16)
    later = records(0, 9_000, spans(50_000), embeddings)
    earlier, other = records(0, 1_000, spans(100), embeddings[:1]), records(1, 0, spans(100), embeddings[:1])
    read = unpacked([later.tobytes() + other.tobytes(), earlier.tobytes()])
    assert read["start_ms"].tolist() == [1_000, 9_000, 10_500, 10_625, 0]
    assert read["end_ms"].tolist() == [1_006, 10_500, 12_000, 12_125, 6]
    assert np.array_equal(read["embedding"][1:4], embeddings)
    assert unpacked([]).size == 0
    with pytest.raises(ValueError, match="multiple"):
        unpacked([later.tobytes()[:-1]])


@pytest.fixture(scope="module")
def bundle(demo_bundle: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("speakers") / "demo-zh"
    shutil.copytree(demo_bundle, target)
    shutil.copytree(folder, target / "spk")
    return target


def test_the_card_says_what_the_bundle_holds(bundle: Path, demo_bundle: Path) -> None:
    assert from_directory(bundle).card.speakers
    assert not from_directory(demo_bundle).card.speakers
    assert from_directory(bundle).revision != from_directory(demo_bundle).revision


def test_a_stream_collects_windows_and_a_restored_one_the_same(
    bundle: Path, make_engine: Callable[..., Engine], recordings: list[Int16]
) -> None:
    engine, samples = make_engine(bundle), recordings[0][: 30 * 16_000]
    stream = engine.stream(speakers=True)
    stream.accept(samples)
    stream.finish()
    whole = unpacked([window.tobytes() for window in stream.take_windows()])
    assert len(whole) > 10

    first = engine.stream(speakers=True)
    first.accept(samples[: 13 * 16_000])
    state, found = first.state(), first.take_windows()
    second = engine.stream(speakers=True, state=state)
    second.accept(samples[second.resume_sample :])
    second.finish()
    resumed = unpacked([window.tobytes() for window in [*found, *second.take_windows()]])
    assert resumed.tobytes() == whole.tobytes()
    plain = engine.stream()
    plain.accept(samples)
    plain.finish()
    assert plain.take_windows() == []
