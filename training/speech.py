"""Synthesises Mandarin speech with espeak-ng and composes long recordings from it.

This module needs only numpy, scipy and espeakng-loader; tests and benchmarks use it to make audio with exactly known
text and times. espeak-ng keeps process-wide state: do not call it from two threads at once.

    from training import speech
    voice = speech.HELD_OUT_VOICES[0]
    spoken = speech.synthesize("请把会议纪要发给我。", voice)        # Spoken: samples, and the time of every word
    recording = speech.compose(sentences, [voice], seed=7)           # Recording: samples, and every sentence's time
    speech.write_wav("meeting.wav", recording.samples)

Everything is deterministic: the same arguments give the same samples, whatever was synthesised before.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from training.espeak import NATIVE_RATE, espeak

SAMPLE_RATE = 16_000
_UP, _DOWN = 320, 441  # SAMPLE_RATE / NATIVE_RATE in lowest terms
_QUIETEST_SPEECH = 0.004
Samples = NDArray[np.float32]
"""Mono audio, shape [samples], values in -1..1, 16 kHz."""


@dataclass(frozen=True)
class Voice:
    """How a speaker sounds: an espeak-ng variant, words per minute, pitch and pitch range (0 to 99)."""

    variant: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50


@dataclass(frozen=True)
class Mark:
    """The time span of characters `start:end` of the text, in milliseconds."""

    start: int
    end: int
    start_ms: float
    end_ms: float


@dataclass(frozen=True)
class Spoken:
    """One synthesised text: samples without leading or trailing silence, and its marks in order."""

    samples: Samples
    marks: tuple[Mark, ...]

    @property
    def duration_ms(self) -> float:
        """Length of the samples in milliseconds."""
        return len(self.samples) * 1000 / SAMPLE_RATE


@dataclass(frozen=True)
class SpokenSentence:
    """A sentence inside a recording: what was said, and exactly when, in milliseconds."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Recording:
    """A long recording and its reference."""

    samples: Samples
    sentences: tuple[SpokenSentence, ...]

    @property
    def duration_ms(self) -> int:
        """Length of the recording in milliseconds."""
        return len(self.samples) * 1000 // SAMPLE_RATE


TRAINING_VOICES: tuple[Voice, ...] = tuple(
    Voice(variant, rate, pitch, pitch_range)
    for variant, rate, pitch, pitch_range in (
        ("m1", 170, 45, 50), ("m2", 185, 38, 45), ("m3", 160, 55, 55), ("m4", 178, 48, 50),
        ("m6", 190, 42, 40), ("m7", 168, 52, 60), ("m8", 182, 36, 50), ("f1", 175, 60, 50),
        ("f2", 165, 66, 55), ("f3", 188, 58, 45), ("f5", 172, 70, 50), ("Andy", 180, 46, 50),
        ("Annie", 170, 62, 50), ("Alicia", 184, 64, 45), ("adam", 176, 44, 55), ("david", 166, 50, 50),
        ("linda", 186, 56, 50), ("steph", 174, 68, 50), ("victor", 162, 40, 45), ("michael", 192, 50, 50),
        ("belinda", 178, 61, 55), ("edward", 171, 47, 50),
    )
)  # fmt: skip
"""The speakers of the training data (their rate and pitch are varied around these values)."""

HELD_OUT_VOICES: tuple[Voice, ...] = (
    Voice("f4", 179, 63, 50),
    Voice("m5", 173, 43, 50),
    Voice("Alex", 181, 51, 50),
)
"""Speakers that training never hears: for evaluation, tests and benchmarks."""


def synthesize(text: str, voice: Voice) -> Spoken:
    """Synthesise `text`; leading and trailing silence is removed.

    A mark spans one character, or one English word, or a few characters that espeak-ng treats as one word.
    Raises ValueError for an unknown voice variant and RuntimeError if nothing can be spoken.
    """
    with espeak() as synthesiser:
        native, words, pauses = synthesiser.speak(
            text, voice.variant, rate=voice.rate, pitch=voice.pitch, pitch_range=voice.pitch_range
        )
    audio = resample_poly(native.astype(np.float32) / 32768, _UP, _DOWN).astype(np.float32)
    loud = np.flatnonzero(np.abs(audio) > _QUIETEST_SPEECH)
    if len(loud) == 0:
        raise RuntimeError(f"espeak-ng spoke only silence for {text!r}")
    first, last = int(loud[0]), int(loud[-1]) + 1
    samples = np.clip(audio[first:last], -1, 1)
    return Spoken(samples, _marks(text, words, pauses, first, len(samples)))


def _marks(
    text: str, words: Sequence[tuple[int, int]], pauses: Sequence[int], first: int, length: int
) -> tuple[Mark, ...]:
    """Word events → marks on the cut audio; several events of one spelled word become one mark."""
    starts: dict[int, int] = {}
    for offset, sample in words:
        starts.setdefault(offset, sample)
    ordered = sorted(starts.items())
    ends = [sample for _, sample in ordered[1:]] + [len(text) * NATIVE_RATE]
    milliseconds = length * 1000 / SAMPLE_RATE
    marks = []
    for index, (offset, sample) in enumerate(ordered):
        stop = min([ends[index], *(p for p in pauses if p > sample)])
        last = ordered[index + 1][0] if index + 1 < len(ordered) else len(text)
        bounds = [(s / NATIVE_RATE - first / SAMPLE_RATE) * 1000 for s in (sample, stop)]
        start_ms, end_ms = (min(max(value, 0.0), milliseconds) for value in bounds)
        marks.append(Mark(offset, last, start_ms, end_ms))
    return tuple(marks)


def noise(length: int, kind: str, level_db: float, generator: np.random.Generator) -> Samples:
    """`length` samples of `kind` (`white`, `pink`, `hum`) at `level_db` dB RMS relative to full scale."""
    if kind == "hum":
        time = np.arange(length) / SAMPLE_RATE
        phases = generator.uniform(0, 2 * np.pi, 4)
        wave_ = sum(np.sin(2 * np.pi * 50 * (n + 1) * time + phases[n]) / (n + 1) for n in range(4))
        signal = np.asarray(wave_) + 0.1 * generator.standard_normal(length)
    elif kind in ("white", "pink"):
        signal = generator.standard_normal(length)
        if kind == "pink" and length > 1:
            spectrum = np.fft.rfft(signal)
            spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
            spectrum[0] = 0
            signal = np.fft.irfft(spectrum, length)
    else:
        raise ValueError(f"no noise of kind {kind!r}")
    power = float(np.sqrt(np.mean(signal**2))) if length else 1.0
    return (signal / max(power, 1e-12) * 10 ** (level_db / 20)).astype(np.float32)


def compose(
    sentences: Sequence[str],
    voices: Sequence[Voice],
    seed: int,
    pause_seconds: tuple[float, float] = (0.3, 3.0),
    noise_db: float | None = -60.0,
    edge_seconds: float = 0.8,
) -> Recording:
    """A recording of `sentences` in order, each by a random one of `voices`, with random pauses between.

    `noise_db` is the level of a faint pink noise under everything, in dB RMS of full scale (None: digital
    silence). `edge_seconds` of silence stand before the first and after the last sentence.
    """
    generator = np.random.default_rng(seed)
    pieces: list[Samples] = [np.zeros(int(edge_seconds * SAMPLE_RATE), np.float32)]
    position = len(pieces[0])
    reference: list[SpokenSentence] = []
    for index, text in enumerate(sentences):
        if index:
            pieces.append(np.zeros(int(generator.uniform(*pause_seconds) * SAMPLE_RATE), np.float32))
            position += len(pieces[-1])
        voice = voices[int(generator.integers(len(voices)))]
        samples = level(synthesize(text, vary(voice, generator, 0.04)).samples, float(generator.uniform(-26, -20)))
        end = position + len(samples)
        reference.append(SpokenSentence(text, position * 1000 // SAMPLE_RATE, end * 1000 // SAMPLE_RATE))
        pieces.append(samples)
        position = end
    audio = np.concatenate([*pieces, pieces[0]])
    if noise_db is not None:
        audio = audio + noise(len(audio), "pink", noise_db, generator)
    return Recording(np.clip(audio, -1, 1).astype(np.float32), tuple(reference))


def vary(voice: Voice, generator: np.random.Generator, spread: float) -> Voice:
    """`voice` with rate and pitch moved by a random factor of up to 1 ± `spread`."""
    rate, pitch = (1 + generator.uniform(-spread, spread, 2)) * (voice.rate, voice.pitch)
    return replace(voice, rate=round(float(rate)), pitch=min(round(float(pitch)), 99))


def level(samples: Samples, level_db: float) -> Samples:
    """`samples` scaled to `level_db` dB RMS relative to full scale."""
    power = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return (samples * (10 ** (level_db / 20) / max(power, 1e-9))).astype(np.float32)


def write_wav(path: str | Path, samples: Samples) -> None:
    """Write mono 16-bit PCM at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(to_pcm(samples).tobytes())


def to_pcm(samples: Samples) -> NDArray[np.int16]:
    """`samples` as 16-bit integers, clipped."""
    return np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
