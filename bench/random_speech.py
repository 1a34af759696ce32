"""Random recordings of real words for comparing texts: sentences that the demo model never saw, cut and mixed.

A file is determined by its number alone: every process makes the same one.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.audio import spoken_sentences
from training import speech
from training.text import held_out_sentences

SAMPLE_RATE = 16_000
POOL = 90
SEED = 77


@dataclass(frozen=True)
class RandomFile:
    """int16 [samples] at 16 kHz, and the spoken text; None if a sentence is cut off or its text is unknown."""

    samples: NDArray[np.int16]
    script: str | None


@functools.cache
def _clips() -> tuple[tuple[NDArray[np.float32], str | None], ...]:
    """Synthesised sentences with their text, and those of the sample."""
    generator = np.random.default_rng(SEED)
    made: list[tuple[NDArray[np.float32], str | None]] = []
    for text in held_out_sentences(POOL, SEED):
        voice = speech.HELD_OUT_VOICES[int(generator.integers(len(speech.HELD_OUT_VOICES)))]
        spoken = speech.synthesize(text, speech.vary(voice, generator, 0.05))
        made.append((speech.level(spoken.samples, -23), text))
    return (*made, *((sentence / np.float32(32768), None) for sentence in spoken_sentences()))


def random_file(number: int) -> RandomFile:
    """File `number`: 5 to 40 s, occasionally shorter, with pauses, noise of any loudness, and cuts within words."""
    generator = np.random.default_rng((SEED, number))
    clips = _clips()
    pieces: list[NDArray[np.float32]] = [_silence(generator, 0.0, 1.0)]
    texts: list[str | None] = []
    wanted = generator.uniform(1, 36) * SAMPLE_RATE
    while sum(map(len, pieces)) < wanted:
        clip, text = clips[int(generator.integers(len(clips)))]
        if generator.random() < 0.1:  # cut off
            clip, text = clip[: int(len(clip) * generator.uniform(0.1, 0.9))], None
        pieces += [clip * np.float32(generator.uniform(0.2, 1.5)), _silence(generator, 0.02, 2.5)]
        texts.append(text)
    audio = np.concatenate(pieces)
    kind = ("white", "pink", "hum")[int(generator.integers(3))]
    audio = audio + speech.noise(len(audio), kind, float(generator.uniform(-80, -45)), generator)
    whole = [text for text in texts if text is not None]
    return RandomFile(speech.to_pcm(audio), "".join(whole) if len(whole) == len(texts) else None)


def _silence(generator: np.random.Generator, least: float, most: float) -> NDArray[np.float32]:
    return np.zeros(int(generator.uniform(least, most) * SAMPLE_RATE), np.float32)
