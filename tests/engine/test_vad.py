"""FSMN-VAD against FunASR's AutoModel, on spoken audio and on networks that decide at random."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from funasr import AutoModel

from training import speech, text
from worker.engine.batching.batcher import Batcher, BatcherOptions
from worker.engine.device.faults import FaultRules, attempt_twice
from worker.engine.features import FeatureStream, load_cmvn
from worker.engine.vad.config import VadConfig
from worker.engine.vad.detector import Vad, VadStream
from worker.engine.vad.network import Caches

DEMO = Path(__file__).parents[2] / "models" / "demo-zh" / "vad"
Int16 = npt.NDArray[np.int16]
Segments = list[tuple[int, int]]


@functools.cache
def reference(restless: bool) -> Any:
    """FunASR with the bundled VAD; `restless` widens its weights so that it changes its mind all the time."""
    model = AutoModel(model=str(DEMO), device="cpu", ncpu=1, disable_update=True, disable_pbar=True)
    if restless:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weights in model.model.encoder.parameters():
                weights += 0.3 * weights.std() * torch.randn(weights.shape, generator=generator)
    return model


def funasr_segments(model: Any, samples: Int16, **options: Any) -> Segments:
    audio = samples.astype(np.float32) / 32_768
    result = model.generate(audio, dynamic_silence=False, fs=16_000, **options)
    return [(start, end) for start, end in result[0]["value"]]


def our_vad(model: Any, stretch_ms: int = 10_000) -> Vad:
    return Vad(model.model, load_cmvn(DEMO / "am.mvn"), VadConfig.of(model.model), stretch_ms=stretch_ms)


@functools.cache
def sentences() -> tuple[npt.NDArray[np.float32], ...]:
    voice = speech.HELD_OUT_VOICES[0]
    return tuple(speech.synthesize(sentence, voice).samples for sentence in text.held_out_sentences(12, seed=3))


def spoken(seed: int, seconds: float) -> Int16:
    """Sentences with pauses of every length, some overlapping noise, at a random level."""
    generator = np.random.default_rng(seed)
    parts: list[npt.NDArray[np.float32]] = []
    total = 0
    while total < seconds * 16_000:
        pause = np.zeros(int(16_000 * generator.exponential(0.6)), np.float32)
        parts += [pause, sentences()[generator.integers(len(sentences()))]]
        total += len(parts[-1]) + len(parts[-2])
    audio = np.concatenate(parts)[: int(seconds * 16_000)] * generator.uniform(0.05, 1.0)
    audio = audio + generator.normal(0, 10 ** generator.uniform(-5, -2), len(audio))
    return np.clip(audio * 32_768, -32_768, 32_767).astype(np.int16)


def in_blocks(stream: VadStream, samples: Int16, size: int) -> Segments:
    segments: Segments = []
    for begin in range(0, len(samples), size):
        segments += stream.accept(samples[begin : begin + size])
    return segments + stream.finish()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("restless", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_segments_are_funasrs(seed: int, restless: bool) -> None:
    seconds = float(np.random.default_rng(seed).choice([0.5, 3.3, 12, 25, 60, 60.01, 66]))
    samples = spoken(seed, seconds)
    model = reference(restless)
    actual = in_blocks(our_vad(model).stream(None), samples, 16_000 * (1 + seed))
    assert actual == funasr_segments(model, samples)
    assert actual or seconds < 1


@pytest.mark.parametrize("samples", [0, 1, 160, 399, 400, 401, 559, 560, 1040, 160_000, 160_080, 960_000])
def test_any_length(samples: int) -> None:
    audio = spoken(5, 62)[3000 : 3000 + samples]
    model = reference(True)
    expected = funasr_segments(model, audio) if samples >= 400 else []  # FunASR divides by zero below
    assert in_blocks(our_vad(model).stream(None), audio, 7777) == expected


def test_a_long_speech_is_cut_hard_at_the_models_own_limit_without_the_cutter() -> None:
    audio = np.concatenate([sentences()[i % len(sentences())] for i in range(40)])[: 16_000 * 80]
    samples = speech.to_pcm(audio)
    model = reference(False)
    actual = in_blocks(our_vad(model).stream(None), samples, 160_000)
    assert actual == funasr_segments(model, samples)
    assert max(end - start for start, end in actual) > 59_000


@pytest.mark.parametrize("limit", [None, 8000])
def test_block_sizes_change_nothing(limit: int | None) -> None:
    samples = spoken(21, 70)
    vad = our_vad(reference(True))
    whole = in_blocks(vad.stream(limit), samples, len(samples))
    assert whole
    for size in (999, 16_000, 16_000 * 60):
        assert in_blocks(vad.stream(limit), samples, size) == whole


@pytest.mark.parametrize("seed", range(6))
def test_saved_and_restored_anywhere(seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples = spoken(seed, 32)
    vad = our_vad(reference(True))
    whole = in_blocks(vad.stream(6000), samples, 160_000)
    stream, segments, position = vad.stream(6000), [], 0
    while position < len(samples):
        size = int(generator.choice([3, 1000, 40_000, 160_000, 320_000]))
        segments += stream.accept(samples[position : position + size])
        position += size
        stream = vad.restore(stream.state())
        assert stream.position_samples == min(position, len(samples))
    assert segments + stream.finish() == whole


def test_a_state_is_small_and_does_not_grow() -> None:
    vad = our_vad(reference(False))
    stream = vad.stream(30_000)
    sizes = []
    for _ in range(6):
        stream.accept(spoken(1, 50))
        sizes.append(_size(stream.state()))
    assert max(sizes) < 64_000
    assert sizes[-1] < 1.2 * sizes[1]


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_size(part) for part in value.values())
    return value.nbytes if isinstance(value, np.ndarray) else 8


def test_no_later_segment_starts_before_what_the_caller_keeps() -> None:
    samples = spoken(8, 60)
    stream = our_vad(reference(True), stretch_ms=1000).stream(5000)
    earliest = 0
    for begin in range(0, len(samples), 16_000):
        for start, end in stream.accept(samples[begin : begin + 16_000]):
            assert start >= earliest
            assert end <= stream.decided_ms
        assert earliest <= stream.keep_from_ms <= stream.decided_ms
        earliest = stream.keep_from_ms
        assert stream.decided_ms - earliest <= (7000 if stream.in_speech else 400)
    assert all(start >= earliest for start, _ in stream.finish())


def test_pieces_are_short_enough_and_cut_in_pauses() -> None:
    gap = np.zeros(16_000 * 3 // 10, np.float32)  # too short to end a segment
    parts = [part for i in range(40) for part in (sentences()[i % len(sentences())], gap)]
    samples = speech.to_pcm(np.concatenate(parts))
    segments = in_blocks(our_vad(reference(False)).stream(15_000), samples, 160_000)
    assert all(end - start <= 15_000 for start, end in segments)
    cuts = [end for (_, end), (start, _) in pairwise(segments) if end == start]
    assert len(cuts) > 3
    loud = [np.abs(samples[cut * 16 - 160 : cut * 16 + 160].astype(np.int32)).max() for cut in cuts]
    assert max(loud) < 200


def test_silence_has_no_segments() -> None:
    assert in_blocks(our_vad(reference(False)).stream(30_000), np.zeros(16_000 * 61, np.int16), 16_000) == []


def test_scores_go_through_the_given_function() -> None:
    vad = our_vad(reference(False))
    shapes = []

    def score(features: torch.Tensor, caches: Caches) -> tuple[torch.Tensor, Caches]:
        shapes.append(tuple(features.shape))
        return vad.score(features, caches)

    samples = spoken(2, 25)
    assert in_blocks(vad.stream(None, score=score), samples, 5000) == in_blocks(vad.stream(None), samples, 5000)
    assert shapes == [(1, 996, 400), (1, 1000, 400), (1, 2498 - 1996, 400)]


def test_a_call_that_failed_can_be_repeated() -> None:
    """One stream's error makes the batcher repeat all of them; no stream's caches may have changed."""
    vad = our_vad(reference(True))
    first, second = spoken(2, 45), spoken(3, 45)
    failures = iter([True, False, True])
    batches: list[int] = []

    def score_all(calls: list[tuple[torch.Tensor, Caches]]) -> list[tuple[torch.Tensor, Caches]]:
        batches.append(len(calls))
        scored = [vad.score(features, caches) for features, caches in calls]
        if len(calls) > 1 and next(failures, False):
            raise ValueError("the last of them")
        return scored

    together = threading.Barrier(2)
    batcher: Batcher[Any, Any] = Batcher(lambda items: items, BatcherOptions(1.0, 1.0))

    def score(features: torch.Tensor, caches: Caches) -> tuple[torch.Tensor, Caches]:
        together.wait(60)
        return batcher.call(score_all, (features, caches))

    try:
        with ThreadPoolExecutor(2) as threads:
            streams = [vad.stream(None, score=score) for _ in range(2)]
            actual = list(threads.map(in_blocks, streams, (first, second), (160_000, 160_000)))
    finally:
        batcher.close()
    assert actual == [in_blocks(vad.stream(None), samples, 160_000) for samples in (first, second)]
    assert batches.count(1) >= 2


def test_a_stretch_that_ran_out_of_memory_is_computed_again() -> None:
    vad = our_vad(reference(True))
    samples = spoken(2, 45)
    failures = iter([True, False, False, True, False])

    def score(features: torch.Tensor, caches: Caches) -> tuple[torch.Tensor, Caches]:
        result = vad.score(features, caches)
        if next(failures, False):
            raise MemoryError
        return result

    def retry(call: Callable[[], Any]) -> Any:
        value, error = attempt_twice(FaultRules(), call)
        assert error is None
        return value

    stream = vad.stream(None, score=score, retry=retry)
    assert in_blocks(stream, samples, 160_000) == in_blocks(vad.stream(None), samples, 160_000)
    assert next(failures, None) is None


def test_a_limit_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="max_segment_ms"):
        our_vad(reference(False)).stream(10)


@pytest.mark.slow
def test_an_hour_is_funasrs() -> None:
    samples = np.concatenate([spoken(seed, 360) for seed in range(10)])
    for restless in (False, True):
        model = reference(restless)
        assert in_blocks(our_vad(model).stream(None), samples, 160_000) == funasr_segments(model, samples)


def test_features_of_the_restless_network_cover_both_sides_of_the_threshold() -> None:
    model = reference(True)
    vad = our_vad(model)
    stacked = FeatureStream(5).accept(spoken(3, 30), final=True)
    silence, _ = vad.score(vad.normalised(stacked)[None], {})
    assert 0.1 < float((silence < 0.2).float().mean()) < 0.9


def test_the_network_computes_what_funasrs_does() -> None:
    model = reference(True)
    vad = our_vad(model)
    features = vad.normalised(FeatureStream(5).accept(spoken(3, 20), final=True))
    ours: Caches = {}
    theirs: dict[str, Any] = {}
    for part in torch.split(features, 700):
        with torch.no_grad():
            expected = model.model.encoder(part[None], cache=theirs)[0, :, 0]
        silence, ours = vad.score(part[None], ours)
        assert float((silence - expected).abs().max()) < 1e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_finds_the_same() -> None:
    model = reference(False)
    samples = spoken(7, 60)
    gpu = Vad(model.model, load_cmvn(DEMO / "am.mvn"), device="cuda")
    assert in_blocks(gpu.stream(None), samples, 160_000) == in_blocks(our_vad(model).stream(None), samples, 160_000)
