"""Generated meetings: synthetic voices that take turns, sometimes at once, with an exact reference.

The voices are variants of one synthesiser (espeak-ng), changed in pitch, rate and, by resampling, in formants. They are
closer to each other than most people are, and each is more even than a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from training import speech, text

RATE = speech.SAMPLE_RATE
VOICES = (
    (speech.Voice("f4", 178, 62), 1.0),
    (speech.Voice("m5", 165, 40), 1.0),
    (speech.Voice("Alex", 206, 52), 0.9),
    (speech.Voice("f2", 153, 70), 1.12),
    (speech.Voice("m3", 182, 34), 0.88),
    (speech.Voice("klatt2", 179, 46), 1.06),
    (speech.Voice("Annie", 189, 58), 0.95),
    (speech.Voice("m7", 154, 60), 1.1),
)
"""Each with the factor of its formants; the rate makes up for it."""

OTHER_VOICES = (
    (speech.Voice("f1", 175, 60), 1.0),
    (speech.Voice("m1", 170, 45), 1.0),
    (speech.Voice("Andy", 198, 46), 0.92),
    (speech.Voice("linda", 160, 66), 1.1),
    (speech.Voice("m8", 186, 36), 0.9),
    (speech.Voice("f5", 172, 70), 1.05),
    (speech.Voice("edward", 182, 41), 0.96),
    (speech.Voice("belinda", 168, 61), 1.08),
)
"""Further ones, for what was chosen with VOICES."""

OVERLAP_SHARE = 0.15
NOISE = 0.002


@dataclass(frozen=True)
class Said:
    """A sentence of the reference."""

    speaker: int
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Meeting:
    """int16 [samples] at 16 kHz, and who said what when."""

    samples: NDArray[np.int16]
    said: tuple[Said, ...]

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / RATE


def say(line: str, voice: int, among: Sequence[tuple[speech.Voice, float]] = VOICES) -> NDArray[np.float32]:
    """A line in one of the voices."""
    kind, formants = among[voice]
    samples = speech.synthesize(line, kind).samples
    factor = Fraction(1 / formants).limit_denominator(40)
    return np.asarray(resample_poly(samples, factor.numerator, factor.denominator), np.float32)


def meeting(voices: int, seconds: float, seed: int, among: Sequence[tuple[speech.Voice, float]] = VOICES) -> Meeting:
    """A meeting of the first `voices` of some; about one change of speakers in seven overlaps."""
    generator = np.random.default_rng(seed)
    samples = np.zeros(int((seconds + 60) * RATE), np.float32)
    said: list[Said] = []
    at = 0.5
    for voice in _speakers(voices, generator):
        for line in generator.choice(text.held_out_sentences(60, seed=seed), int(generator.integers(1, 4))):
            spoken = say(str(line), voice, among) * generator.uniform(0.3, 0.9)
            start = int(at * RATE)
            samples[start : start + len(spoken)] += spoken
            end = start + len(spoken)
            said.append(Said(voice, start * 1000 // RATE, end * 1000 // RATE, str(line)))
            at = end / RATE + generator.uniform(0.1, 0.5)
        overlaps = generator.random() < OVERLAP_SHARE
        at += -generator.uniform(0.6, 1.3) if overlaps else generator.uniform(0.0, 0.9)
        if at > seconds:
            break
    samples = samples[: int((max(item.end_ms for item in said) / 1000 + 0.5) * RATE)]
    samples += generator.normal(0, NOISE, len(samples)).astype(np.float32)
    return Meeting(speech.to_pcm(np.clip(samples, -1, 1)), tuple(said))


def _speakers(voices: int, generator: np.random.Generator) -> Iterator[int]:
    last = -1
    while True:
        voice = int(generator.integers(voices))
        if voice != last:
            last = voice
            yield voice


def clips() -> Meeting:
    """Three voices, one after the other, in ten seconds."""
    samples = np.zeros(0, np.float32)
    said: list[Said] = []
    for voice, line in enumerate(
        ("今天的天气很好，我们去公园吧。", "请把会议纪要发给我。", "会议从九点开始，到十一点结束。")
    ):
        spoken = say(line, voice) * 0.5
        start = len(samples) + RATE // 4
        samples = np.concatenate([samples, np.zeros(RATE // 4, np.float32), spoken])
        said.append(Said(voice, start * 1000 // RATE, len(samples) * 1000 // RATE, line))
    return Meeting(speech.to_pcm(samples), tuple(said))
