"""Which segmentation gives the better text: the demo recogniser behind the published FSMN-VAD, on mixes of sound.

python -m bench.segmentation [--minutes 2] [--threads 1]

Every recording is speech of held-out voices with pauses of 0.2 to 4 s, and is transcribed with each segmentation. The
same speech is heard clean, with noise and tones, from a distance, and with all of that.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from bench import machine
from bench.lab import CACHE
from bench.models import DEMO
from bench.real_vad import bundle_with_real_vad
from common.options.segmentation import SEGMENTATION_NAMES, SegmentationName
from training import speech
from training.speech import SAMPLE_RATE, Recording
from training.text import held_out_sentences, plain
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine

Samples = NDArray[np.float32]
SECONDS_PER_SENTENCE = 5.6
"""Of the demo corpus, with a pause."""
SPEECH_DB = -23.0
ECHOES = ((0.0, 0.4), (0.031, 0.25), (0.073, 0.2), (0.127, 0.14), (0.211, 0.1), (0.337, 0.06))
"""Delay in seconds and strength of what a far microphone hears."""


def noisy(below_db: float) -> Callable[[Samples, np.random.Generator], Samples]:
    """Pink noise so far below the speech."""
    return lambda clean, generator: clean + speech.noise(len(clean), "pink", SPEECH_DB - below_db, generator)


def with_tones(clean: Samples, generator: np.random.Generator) -> Samples:
    """Beeps and rings of 0.2 to 2.5 s, 12 a minute, 9 dB below the speech and at any time."""
    heard = clean.copy()
    for _ in range(len(clean) * 12 // (60 * SAMPLE_RATE)):
        length = int(SAMPLE_RATE * generator.uniform(0.2, 2.5))
        at = int(generator.integers(0, max(len(heard) - length, 1)))
        pitch = generator.uniform(300, 2000)
        tone = np.sin(2 * np.pi * pitch * np.arange(length) / SAMPLE_RATE) * np.sqrt(2) * 10 ** ((SPEECH_DB - 9) / 20)
        heard[at : at + length] += tone[: len(heard) - at].astype(np.float32)
    return heard


def far(clean: Samples, _: np.random.Generator) -> Samples:
    """From the other end of a room: with echoes, and 20 dB quieter."""
    heard = np.zeros_like(clean)
    for delay, strength in ECHOES:
        shift = int(delay * SAMPLE_RATE)
        heard[shift:] += strength * clean[: len(clean) - shift]
    return heard * 0.1


def all_of_it(clean: Samples, generator: np.random.Generator) -> Samples:
    """Every third stretch of 20 s from afar, tones, and noise 35 dB below the near speech."""
    near, away = clean.copy(), far(clean, generator)
    for begin in range(0, len(clean), 60 * SAMPLE_RATE):
        near[begin : begin + 20 * SAMPLE_RATE] = away[begin : begin + 20 * SAMPLE_RATE]
    return noisy(35)(with_tones(near, generator), generator)


CONDITIONS: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "clean": lambda clean, _: clean,
    "noise 20 dB below the speech": noisy(20),
    "noise 10 dB below the speech": noisy(10),
    "tones": with_tones,
    "distance": far,
    "distance, tones and noise in turns": all_of_it,
}


def spoken(minutes: float, seed: int) -> Recording:
    """Speech of held-out voices of about this length."""
    lines = held_out_sentences(max(int(minutes * 60 / SECONDS_PER_SENTENCE), 1), seed)
    return speech.compose(lines, speech.HELD_OUT_VOICES, seed, pause_seconds=(0.2, 4.0))


def heard(engine: Engine, samples: NDArray[np.int16], name: SegmentationName) -> tuple[str, int]:
    """The text of a recording and the number of its segments."""
    stream = engine.stream(segmentation=name)
    sentences = [
        sentence
        for begin in range(0, len(samples), 10 * SAMPLE_RATE)
        for sentence in stream.accept(samples[begin : begin + 10 * SAMPLE_RATE])
    ] + stream.finish()
    return "".join(sentence.text for sentence in sentences), stream.segments


def row(name: SegmentationName, reference: str, text: str, segments: int) -> str:
    """A line of the table: characters wrong in all, and of them missing, added and replaced."""
    wanted, found = plain(reference), plain(text)
    kinds = [edit.tag for edit in Levenshtein.editops(wanted, found)]
    missing, added, replaced = (kinds.count(kind) for kind in ("delete", "insert", "replace"))
    return f"{name} | {len(kinds) / len(wanted):.1%} | {missing} | {added} | {replaced} | {segments} |"


def main() -> None:
    """Print the table in Markdown, with its conditions."""
    parser = argparse.ArgumentParser(prog="python -m bench.segmentation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="length of each recording")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=15)
    options = parser.parse_args()
    recording = spoken(options.minutes, options.seed)
    reference = "".join(sentence.text for sentence in recording.sentences)
    with tempfile.TemporaryDirectory() as place:
        bundle = from_directory(bundle_with_real_vad(Path(place), DEMO, CACHE / "models"))
        engine = Engine.load(bundle, "cpu", threads=options.threads, batch_seconds=60.0)
    print(
        f"{machine.processor()}, {options.threads} thread(s); FSMN-VAD v2.0.4, demo-zh, fp32; each recording "
        f"{recording.duration_ms / 1000:.0f} s with {len(recording.sentences)} sentences of "
        f"{len(plain(reference))} characters, seed {options.seed}\n"
    )
    print("| recording | segmentation | CER | missing | added | replaced | segments |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for condition, change in CONDITIONS.items():
        samples = speech.to_pcm(change(recording.samples, np.random.default_rng(options.seed)))
        for name in SEGMENTATION_NAMES:
            line = row(name, reference, *heard(engine, samples, name))
            print(f"| {condition if name == SEGMENTATION_NAMES[0] else ''} | {line}", flush=True)
    engine.close()


if __name__ == "__main__":
    main()
