"""FSMN-VAD with its real weights against FunASR, in both modes, in any blocks, restored anywhere."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from funasr import AutoModel

from tests.real_vad import NoWheel, real_vad
from training import speech, text
from worker.engine.features import load_cmvn
from worker.engine.vad.config import DYNAMIC, FIXED, SEGMENTATIONS, VadConfig
from worker.engine.vad.detector import Vad, VadStream

Int16 = npt.NDArray[np.int16]
Segments = list[tuple[int, int]]
CACHE = Path(__file__).parents[2] / ".paraqueue" / "test-models"


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return real_vad(CACHE)
    except NoWheel as error:
        pytest.skip(f"the real weights cannot be had here: {error}")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return AutoModel(model=str(folder), device="cpu", ncpu=1, disable_update=True, disable_pbar=True)


@pytest.fixture(scope="module")
def vad(theirs: Any, folder: Path) -> Vad:
    return Vad(theirs.model, load_cmvn(folder / "am.mvn"), VadConfig.of(theirs.model))


@functools.cache
def sentences() -> tuple[npt.NDArray[np.float32], ...]:
    lines = text.held_out_sentences(16, seed=4)
    voices = speech.HELD_OUT_VOICES
    return tuple(speech.synthesize(line, voices[i % len(voices)]).samples for i, line in enumerate(lines))


def mixed(seed: int, seconds: float) -> Int16:
    """Talk with pauses, quiet and loud, with noise, tones and distance, in random order."""
    generator = np.random.default_rng(seed)
    parts: list[npt.NDArray[np.float32]] = []
    while sum(map(len, parts)) < seconds * 16_000:
        kind = generator.random()
        if kind < 0.65:
            part = sentences()[generator.integers(len(sentences()))] * generator.uniform(0.02, 1.0)
        elif kind < 0.75:
            length = int(16_000 * generator.uniform(0.1, 2))
            part = 0.2 * np.sin(np.arange(length) * generator.uniform(0.02, 0.8))
        else:
            part = np.zeros(int(16_000 * generator.exponential(0.9)))
        parts.append(part.astype(np.float32))
    audio = np.concatenate(parts)[: int(seconds * 16_000)].astype(np.float64)
    audio = audio + generator.normal(0, 10 ** generator.uniform(-4.5, -1.7), len(audio))
    if generator.random() < 0.3:  # a far microphone: the sound comes again, weaker and later
        audio = np.convolve(audio, np.concatenate([[0.4], np.zeros(1200), [0.25], np.zeros(2100), [0.15]]))[
            : len(audio)
        ]
    return np.clip(audio * 32_768, -32_768, 32_767).astype(np.int16)


def funasr_segments(model: Any, samples: Int16, segmentation: str) -> Segments:
    audio = samples.astype(np.float32) / 32_768
    result = model.generate(audio, dynamic_silence=segmentation == DYNAMIC, fs=16_000)
    return [(start, end) for start, end in result[0]["value"]]


def in_blocks(stream: VadStream, samples: Int16, size: int) -> Segments:
    segments: Segments = []
    for begin in range(0, len(samples), size):
        segments += stream.accept(samples[begin : begin + size])
    return segments + stream.finish()


def test_the_published_configuration(vad: Vad, theirs: Any) -> None:
    assert vad.config.max_end_silence_time == 800
    assert vad.config.speech_noise_thres == 0.6
    assert len(theirs.model.state_dict()) == 24
    assert theirs.model.encoder.out_linear2.linear.out_features == 248


@pytest.mark.parametrize("segmentation", SEGMENTATIONS)
@pytest.mark.parametrize("seed", range(12))
def test_segments_are_funasrs(seed: int, segmentation: str, vad: Vad, theirs: Any) -> None:
    seconds = (2.0, 12.3, 59.9, 60.0, 60.02, 61.0, 119.0, 120.0, 125.5, 180.3, 200.0, 241.0)[seed]
    samples = mixed(seed, seconds)
    actual = in_blocks(vad.stream(None, segmentation=segmentation), samples, 16_000 * (1 + 3 * seed))
    assert actual == funasr_segments(theirs, samples, segmentation)
    assert actual


def test_the_modes_differ(vad: Vad) -> None:
    samples = mixed(11, 200)
    fixed, dynamic = (in_blocks(vad.stream(None, segmentation=mode), samples, 160_000) for mode in (FIXED, DYNAMIC))
    assert fixed != dynamic


@pytest.mark.parametrize("limit", [None, 20_000])
def test_blocks_and_restores_change_nothing(limit: int | None, vad: Vad) -> None:
    samples = mixed(3, 130)
    whole = in_blocks(vad.stream(limit, segmentation=DYNAMIC), samples, len(samples))
    for size in (777, 16_000, 960_000, 960_001):
        assert in_blocks(vad.stream(limit, segmentation=DYNAMIC), samples, size) == whole
    generator = np.random.default_rng(1)
    stream, segments, position = vad.stream(limit, segmentation=DYNAMIC), [], 0
    while position < len(samples):
        size = int(generator.choice([1000, 40_000, 160_000, 320_000]))
        segments += stream.accept(samples[position : position + size])
        position += size
        stream = vad.restore(stream.state())
    assert segments + stream.finish() == whole


def test_wrong_settings_are_refused(theirs: Any, vad: Vad) -> None:
    with pytest.raises(ValueError, match="not one of fixed, dynamic"):
        vad.stream(segmentation="adaptive")
    with pytest.raises(ValueError, match="must divide"):
        Vad(theirs.model, None, VadConfig.of(theirs.model), stretch_ms=7000).stream(segmentation=DYNAMIC)
