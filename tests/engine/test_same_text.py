"""The engine against FunASR's own AutoModel, alone: same text, same word times."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from common.options.segmentation import SegmentationName
from common.transcript.values import Sentence, joined_text
from worker.engine.engine import Engine
from worker.engine.resume_state import StaleState

Samples = NDArray[np.int16]


def transcribe(
    engine: Engine,
    samples: Samples,
    block: int = 160_000,
    key: str = "test",
    segmentation: SegmentationName | None = None,
) -> list[Sentence]:
    """A whole recording through one stream."""
    stream = engine.stream(key=key, segmentation=segmentation)
    sentences: list[Sentence] = []
    for start in range(0, len(samples), block):
        sentences += stream.accept(samples[start : start + block])
    return sentences + stream.finish()


def funasr_text(text: str) -> str:
    """FunASR's text without the space that it puts before a Latin word where a punctuation window begins."""
    return re.sub(r"(?<=[。？，、]) +", "", text).strip()


@pytest.fixture(scope="module")
def reference(recordings: list[Samples]) -> Callable[[Path], list[tuple[str, list[list[int]]]]]:
    """Text and word times of every recording by FunASR, per bundle, computed once."""
    from funasr import AutoModel

    known: dict[Path, list[tuple[str, list[list[int]]]]] = {}

    def refer(bundle: Path) -> list[tuple[str, list[list[int]]]]:
        if bundle not in known:
            quiet: dict[str, Any] = {"disable_update": True, "disable_pbar": True, "log_level": "ERROR"}
            model = AutoModel(
                model=str(bundle / "asr"),
                vad_model=str(bundle / "vad"),
                punc_model=str(bundle / "punc"),
                device="cpu",
                ncpu=1,
                **quiet,
            )
            known[bundle] = []
            for samples in recordings:
                audio = samples.astype(np.float32) / 32768
                result = model.generate(audio, dynamic_silence=False, batch_size_s=0)[0]
                known[bundle].append((result["text"], result.get("timestamp", [])))
        return known[bundle]

    return refer


@pytest.mark.parametrize(("bundle", "batch_seconds"), [("demo_bundle", 120.0), ("random_bundle", 30.0)])
def test_text_and_times_equal_funasr(
    bundle: str,
    batch_seconds: float,
    request: pytest.FixtureRequest,
    make_engine: Callable[..., Engine],
    recordings: list[Samples],
    reference: Callable[[Path], list[tuple[str, list[list[int]]]]],
) -> None:
    path: Path = request.getfixturevalue(bundle)
    engine = make_engine(path, batch_seconds=batch_seconds, max_segment_ms=None)
    with ThreadPoolExecutor(4) as threads:  # all at once: the segments of all recordings meet in batches
        results = list(threads.map(lambda item: transcribe(engine, item[1], key=str(item[0])), enumerate(recordings)))
    for sentences, (text, times) in zip(results, reference(path), strict=True):
        assert joined_text(sentences) == funasr_text(text)
        words = [word for sentence in sentences for word in sentence.words]
        if "unk" not in text and len(words) == len(times):
            assert [[word.start_ms, word.end_ms] for word in words] == times
        else:
            assert bundle == "random_bundle"


def test_sentences_are_well_formed(
    demo_bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    for samples in recordings:
        sentences = transcribe(engine, samples)
        words = [word for sentence in sentences for word in sentence.words]
        assert words
        times = [time for word in words for time in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= len(samples) // 16
        assert all(0 < word.confidence <= 1 for word in words)
        assert all(s.text == s.text.strip() and s.text[-1] in "。？.?" for s in sentences)


def test_silence_is_no_speech(demo_bundle: Path, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    noise = np.random.default_rng(0).integers(-3, 4, 30 * 16_000).astype(np.int16)
    stream = engine.stream()
    assert stream.accept(noise) + stream.finish() == []
    assert stream.segments == 0


def test_an_empty_stream_has_no_sentences(demo_bundle: Path, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    assert engine.stream().finish() == []


def test_the_dynamic_segmentation_is_funasrs_default(
    demo_bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    from funasr import AutoModel

    quiet: dict[str, Any] = {"disable_update": True, "disable_pbar": True, "log_level": "ERROR"}
    parts = {"model": "asr", "vad_model": "vad", "punc_model": "punc"}
    theirs = AutoModel(**{name: str(demo_bundle / part) for name, part in parts.items()}, device="cpu", ncpu=1, **quiet)
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None, segmentation="dynamic")
    samples = np.concatenate(recordings[:2])
    [expected] = theirs.generate(samples.astype(np.float32) / 32768, batch_size_s=0)
    assert joined_text(transcribe(engine, samples)) == funasr_text(expected["text"])
    state = engine.stream().state()
    fixed = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    assert joined_text(transcribe(fixed, samples, segmentation="dynamic")) == funasr_text(expected["text"])
    with pytest.raises(StaleState, match="segmentation"):
        fixed.stream(state=state)
    assert fixed.stream(state=state, segmentation="dynamic").finish() == []
    assert (engine.card.segmentation, fixed.card.segmentation) == ("dynamic", "fixed")
