"""Paraformer without weights for the times of words (`paraformer-en`): FunASR's class with random weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from common.errors import ModelUnavailable, UnsupportedLanguage
from common.transcript.values import Word
from tests.engine.plain_paraformer import make_plain
from tests.engine.test_stream import feed, plain
from worker.engine.assembly import paraformer_of
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import bundle_spec, from_directory
from worker.engine.engine import Engine
from worker.engine.options import GpuLayout
from worker.engine.recognition.paraformer import Paraformer
from worker.engine.recognition.timing import estimated_times, token_times

Samples = NDArray[np.int16]
FILES = 50


@pytest.fixture(scope="module")
def bundle(random_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain(random_bundle, tmp_path_factory.mktemp("plain") / "plain")


@pytest.fixture(scope="module")
def recogniser(bundle: Path) -> Iterator[Paraformer]:
    made = paraformer_of(loading.load(from_directory(bundle), "cpu"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def segments(recordings: list[Samples]) -> list[Samples]:
    generator = np.random.default_rng(43)
    made = []
    for _ in range(FILES):
        audio = recordings[int(generator.integers(len(recordings)))]
        length = int(generator.integers(6_000, 8 * 16_000))
        start = int(generator.integers(0, len(audio) - length))
        made.append(audio[start : start + length])
    return made


def said(words: list[Word]) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_ms, word.end_ms) for word in words]


def test_text_equals_funasr(bundle: Path, recogniser: Paraformer, segments: list[Samples]) -> None:
    """Each file alone; FunASR separates words by spaces, and joins pieces and spelt letters."""
    from funasr import AutoModel

    quiet: dict[str, Any] = {"disable_update": True, "disable_pbar": True, "log_level": "ERROR"}
    theirs: Any = AutoModel(model=str(bundle / "asr"), device="cpu", ncpu=1, **quiet)
    assert type(theirs.model).__name__ == "Paraformer"
    assert type(theirs.model.predictor).__name__ == "CifPredictorV2"
    theirs.kwargs["frontend"].dither = 0.0
    spoken: list[str] = []
    for segment, words in zip(segments, recogniser.recognise(segments), strict=True):
        [expected] = theirs.generate(segment.astype(np.float32) / 32768)
        assert " ".join(word.text for word in words) == expected["text"]
        spoken += [word.text for word in words]
    logging.disable(logging.NOTSET)
    assert len(spoken) > 300
    assert any(word.isupper() and len(word) > 1 for word in spoken)  # spelt
    assert "it's" in spoken
    assert any(len(word) > len("database") for word in spoken)  # joined


@pytest.mark.parametrize(("precision", "gpu"), [("fp32", None), ("int8", None), ("fp32", "padded"), ("fp32", "packed")])
def test_a_segment_is_the_same_alone_and_in_any_batch(
    precision: str, gpu: GpuLayout | None, bundle: Path, recogniser: Paraformer, segments: list[Samples]
) -> None:
    tested = paraformer_of(loading.load(from_directory(bundle), "cpu", precision), gpu)
    assert tested.description.startswith(gpu or "packed")
    alone = [said(tested.recognise([segment])[0]) for segment in segments]
    generator = np.random.default_rng(7)
    for size in (7, FILES):
        for chosen in np.array_split(generator.permutation(FILES), FILES // size):
            together = tested.recognise([segments[number] for number in chosen])
            assert list(map(said, together)) == [alone[number] for number in chosen]
    exact = list(map(said, recogniser.recognise(segments)))
    assert (alone == exact) is (precision == "fp32")
    tested.close()


def test_words_follow_one_another_within_their_segment(recogniser: Paraformer, segments: list[Samples]) -> None:
    for segment, words in zip(segments, recogniser.recognise(segments), strict=True):
        times = [time for word in words for time in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert all(word.start_ms < word.end_ms for word in words)
        assert not times or times[-1] <= len(segment) / 16 + 30


def test_resumed_equals_undisturbed(
    bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(bundle, batch_seconds=30.0, max_segment_ms=3000)
    generator = np.random.default_rng(19)
    for samples in recordings[:2]:
        undisturbed = plain(feed(engine, samples, generator, []))
        assert sum(len(words) for *_, words in undisturbed) > 50
        for _ in range(2):
            stops = [int(stop) for stop in generator.integers(1, len(samples), 4)]
            assert plain(feed(engine, samples, generator, stops)) == undisturbed


def test_the_card_says_that_times_are_estimated(
    bundle: Path, random_bundle: Path, make_engine: Callable[..., Engine]
) -> None:
    """Also that of a bundle without a definition, which knows nothing of it."""
    options: dict[str, Any] = {"batch_seconds": 30.0, "max_segment_ms": 3000}
    assert from_directory(bundle).card.word_times
    assert not make_engine(bundle, **options).card.word_times
    assert make_engine(random_bundle, **options).card.word_times
    shipped = bundle_spec("paraformer-en").card
    assert not shipped.word_times
    shipped.check_language("paraformer-en", "en-US")
    with pytest.raises(UnsupportedLanguage, match="it knows: en"):
        shipped.check_language("paraformer-en", "zh")


def test_another_predictor_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = loading.load(from_directory(bundle), "cpu")
    monkeypatch.setattr(loaded.asr.module, "predictor", torch.nn.Identity())
    with pytest.raises(ModelUnavailable, match="must be a CifPredictorV2 or CifPredictorV3"):
        paraformer_of(loaded)


def test_estimates_are_near_the_times_of_a_trained_model(demo_bundle: Path, recordings: list[Samples]) -> None:
    """demo-zh has both: weights for times, and those that count its tokens."""
    demo = paraformer_of(loading.load(from_directory(demo_bundle), "cpu"))
    networks: Any = demo._networks
    differences: list[list[int]] = []
    for samples in recordings:
        for start in range(0, len(samples) - 64_000, 64_000):
            features, lengths = demo._frontend([samples[start : start + 64_000]])
            scores = networks(features, lengths)
            with torch.inference_mode():
                hidden = networks._encoder(features[0], np.array([0, int(lengths[0])]))
                weights = networks._integrate(hidden)[1].weights[0].numpy()
            estimated = estimated_times(weights, scores.counts[0])
            differences += (estimated - token_times(scores.weights[0], scores.counts[0])).tolist()
    assert len(differences) > 300
    begins, ends = np.array(differences).T
    assert abs(np.median(begins)) <= 60
    assert abs(np.median(ends)) <= 60
    assert np.percentile(np.abs(begins), 75) < 300
    demo.close()


@pytest.mark.parametrize(
    ("weights", "count", "times"),
    [
        ([], 0, []),
        ([0.1] * 5, 0, []),
        ([0.5, 0.5, 0.75, 0.25], 2, [[0, 30], [30, 150]]),
        ([0.5, 0.5, 0.1, 0.5], 2, [[0, 30], [30, 210]]),  # the tail completes the second
        ([0.25, 0.25, 0.5, 0.6], 2, [[0, 90], [90, 210]]),
        ([0.5, 0.25, 0.125, 0.125, 0.0], 1, [[0, 150]]),
        ([*[0.0] * 20, 0.5, 0.5], 1, [[630, 1230]]),  # silence before it
        ([np.nan] * 4, 2, [[0, 0], [0, 0]]),  # not numbers, and still times
    ],
)
def test_estimated_times(weights: list[float], count: int, times: list[list[int]]) -> None:
    assert estimated_times(np.array(weights, np.float32), count).tolist() == times
