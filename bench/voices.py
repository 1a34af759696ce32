"""How often a known voice is recognised, and how often a stranger is taken for one: CAM++ on generated meetings.

python -m bench.voices --bundle DIR [--minutes 5] [--meetings 2] [--threads 1] [--other-voices]

All voices speak in one meeting, from which they are enrolled, and in others with other text that are heard in several
ways. The service's own code finds and compares the speakers. Every half of the voices is enrolled in turn: its speakers
should be named in the whole meeting, and nobody should be where only the others, the strangers, are heard.
"""

from __future__ import annotations

import argparse
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from bench import machine
from bench.meetings import OTHER_VOICES, RATE, VOICES, Meeting, meeting
from bench.segmentation import far, noisy
from common.options.segmentation import FIXED, SEGMENTATIONS
from common.transcript.voice_prints import VoicePrint, similarity
from common.voices.matching import matched
from training import speech
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine
from worker.engine.speakers.clustering import Labels
from worker.engine.speakers.prints import voice_prints
from worker.engine.speakers.turns import find_speakers
from worker.engine.speakers.windows import Windows, records, spans, unpacked

BLOCK = 2 * RATE
ENROLMENT_SEED = 300
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
Samples = NDArray[np.float32]
Sound = Callable[[Samples, np.random.Generator], Samples]


def telephone(clean: Samples, _: np.random.Generator) -> Samples:
    """300 to 3,400 Hz."""
    band = butter(6, (300, 3_400), "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfilt(band, clean), np.float32)


SOUNDS: dict[str, Sound] = {
    "as enrolled": lambda clean, _: clean,
    "20 dB quieter": lambda clean, _: clean * np.float32(0.1),
    "noise 20 dB below the speech": noisy(20),
    "noise 10 dB below the speech": noisy(10),
    "telephone band": telephone,
    "distance": far,
}


@dataclass(frozen=True)
class Heard:
    """The prints of the speakers that were found in a meeting, each with the voice that speaks most of it."""

    prints: dict[int, VoicePrint]
    voices: dict[int, int]


def heard(engine: Engine, recorded: Meeting, sound: Sound, seed: int) -> Heard:
    """Find the speakers of a meeting as the service does, without recognising what they say."""
    clean = np.asarray(recorded.samples / 32_768, np.float32)
    samples = speech.to_pcm(np.clip(sound(clean, np.random.default_rng(seed)), -1, 1))
    vad, segments = engine.vad_stream(None, SEGMENTATIONS[FIXED]), []
    for start in range(0, len(samples), BLOCK):
        segments += vad.accept(samples[start : start + BLOCK])
    stored = []
    for start_ms, end_ms in [*segments, *vad.finish()]:
        piece = samples[start_ms * RATE // 1000 : end_ms * RATE // 1000]
        stored.append(records(0, start_ms, spans(len(piece)), engine.embed(piece).result()).tobytes())
    windows = unpacked(stored)
    speakers = find_speakers(windows)
    return Heard(voice_prints(windows, speakers), _voices(recorded, windows, speakers))


def _voices(recorded: Meeting, windows: Windows, speakers: Labels) -> dict[int, int]:
    """Return which voice of the reference each speaker is: the one that speaks longest in its windows."""
    spoken: dict[int, Counter[int]] = {}
    for window, speaker in zip(windows, speakers.tolist(), strict=True):
        for said in recorded.said:
            together = min(int(window["end_ms"]), said.end_ms) - max(int(window["start_ms"]), said.start_ms)
            if together > 0:
                spoken.setdefault(speaker, Counter())[said.speaker] += together
    return {speaker: counts.most_common(1)[0][0] for speaker, counts in spoken.items()}


def _prints_of_voices(found: Heard) -> dict[int, VoicePrint]:
    """Return the print of each voice: of the speaker with most of its speech."""
    return {voice: found.prints[speaker] for voice, speaker in _largest(found).items()}


@dataclass
class Counts:
    """Speakers who are known and strangers, over all choices of enrolled voices, and what became of them."""

    known: int = 0
    missed: int = 0
    confused: int = 0
    strangers: int = 0
    accepted: int = 0

    def __str__(self) -> str:
        return f"{self.missed / self.known:.1%}, {self.confused / self.known:.1%}, {self.accepted / self.strangers:.1%}"


def counted(known: dict[int, VoicePrint], found: Sequence[Heard], threshold: float) -> Counts:
    """Enrol every half of the voices in turn, and match the speakers of meetings."""
    counts = Counts()
    for half in combinations(sorted(known), len(known) // 2):
        ids = {voice: uuid.UUID(int=voice) for voice in half}
        prints = {ids[voice]: known[voice] for voice in half}
        for one in found:
            names = matched(one.prints, prints, threshold)
            largest = _largest(one)
            for voice, speaker in largest.items():
                if voice in ids:
                    match = names.get(speaker)
                    counts.known += 1
                    counts.missed += match is None
                    counts.confused += match is not None and match.voice_id != ids[voice]
            strangers = {speaker: one.prints[speaker] for voice, speaker in largest.items() if voice not in ids}
            counts.strangers += len(strangers)
            counts.accepted += len(matched(strangers, prints, threshold))
    return counts


def _largest(found: Heard) -> dict[int, int]:
    """Return the speaker with most speech of each voice, which may have been split over several."""
    largest: dict[int, int] = {}
    for speaker, voice in found.voices.items():
        if voice not in largest or found.prints[largest[voice]].speech_ms < found.prints[speaker].speech_ms:
            largest[voice] = speaker
    return largest


def similarities(known: dict[int, VoicePrint], found: Sequence[Heard]) -> tuple[list[float], list[float]]:
    """Return the similarities of speakers to their own voices and to others."""
    own: list[float] = []
    others: list[float] = []
    for one in found:
        for spoken, speaker in _largest(one).items():
            for voice, print_ in known.items():
                (own if voice == spoken else others).append(similarity(one.prints[speaker], print_))
    return own, others


def main() -> None:
    """Print a table: similarities, and for each threshold the rates of missed, confused and accepted speakers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--meetings", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--other-voices", action="store_true", help="eight voices with which nothing was chosen")
    options = parser.parse_args()
    engine = Engine.load(from_directory(options.bundle), "cpu", threads=options.threads)
    among = OTHER_VOICES if options.other_voices else VOICES
    meetings = [
        meeting(len(among), 60 * options.minutes, ENROLMENT_SEED + number, among)
        for number in range(options.meetings + 1)
    ]
    known = _prints_of_voices(heard(engine, meetings[0], SOUNDS["as enrolled"], ENROLMENT_SEED))
    print(
        f"{machine.processor()}, {options.threads} threads; {len(among)} voices, {options.minutes:g} minutes a meeting"
    )
    print(
        f"enrolled: {len(known)} voices, {min(item.speech_ms for item in known.values()) / 1000:.0f} s or more of each"
    )
    print("sound | speakers | own voice: least, median | others: median, most | missed, confused, accepted at …")
    print(" | | | |", *THRESHOLDS, sep=" | ")
    for name, sound in SOUNDS.items():
        found = [heard(engine, each, sound, ENROLMENT_SEED + number) for number, each in enumerate(meetings[1:])]
        own, others = similarities(known, found)
        alike = f"{min(own):.2f}, {np.median(own):.2f} | {np.median(others):.2f}, {max(others):.2f}"
        rates = " | ".join(str(counted(known, found, threshold)) for threshold in THRESHOLDS)
        print(f"{name} | {sum(len(each.prints) for each in found)} | {alike} | {rates}", flush=True)
    engine.close()


if __name__ == "__main__":
    main()
