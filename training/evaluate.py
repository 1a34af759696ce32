"""Measures the bundled models: character error rates, sentence times, false speech detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from funasr import AutoModel
from rapidfuzz.distance import Levenshtein

from training import speech
from training.speech import SAMPLE_RATE, Recording, Samples, Voice
from training.text import held_out_sentences, plain, tokens_of

TIME_BAR_MS = 300
"""A sentence's start and end should be this close to where it was spoken."""


@dataclass(frozen=True)
class Row:
    """One measured condition; `errors` are substitutions, deletions and insertions of characters."""

    condition: str
    sentences: int
    characters: int
    errors: int

    @property
    def rate(self) -> float:
        """Character error rate."""
        return self.errors / max(self.characters, 1)


@dataclass(frozen=True)
class Timing:
    """The errors of sentence start and end times, in ms."""

    sentences: int
    median_ms: float
    percentile_95_ms: float
    worst_ms: float
    within_bar: float
    """The share of starts and ends within `TIME_BAR_MS`."""


@dataclass(frozen=True)
class Results:
    """The results of `measure`."""

    segments: tuple[Row, ...]
    pipeline: tuple[Row, ...]
    timing: Timing
    segments_in_silence: int
    """Segments that voice activity detection found in recordings without speech; should be 0."""
    pipeline_minutes: float


def count_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """(errors, characters of the reference), without punctuation, spaces and case."""
    wanted = plain(reference)
    return Levenshtein.distance(wanted, plain(hypothesis)), len(wanted)


def load(bundle: Path, whole_pipeline: bool) -> AutoModel:
    """FunASR's own pipeline over the bundle, or only its recogniser."""
    others = {"vad_model": str(bundle / "vad"), "punc_model": str(bundle / "punc")} if whole_pipeline else {}
    return AutoModel(model=str(bundle / "asr"), device="cpu", ncpu=2, disable_update=True, disable_pbar=True, **others)


def measure(bundle: Path, count: int = 200, seed: int = 404, minutes: float = 11.0) -> Results:
    """Run all measurements; `count` sentences for each single-segment condition, one file of `minutes`."""
    recogniser = load(bundle, whole_pipeline=False)
    sentences = held_out_sentences(count, seed)
    mixed = [s for s in held_out_sentences(count * 5, seed + 1) if any(t.isascii() for t in tokens_of(s))][:count]
    held_out, known = speech.HELD_OUT_VOICES, speech.TRAINING_VOICES
    segments = (
        *(_segment_row(recogniser, f"held-out voice {v.variant}, faint noise", sentences, [v], -60) for v in held_out),
        _segment_row(recogniser, "held-out voices, noise 20 dB below speech", sentences, held_out, -43),
        _segment_row(recogniser, "held-out voices, sentences with English words", mixed, held_out, -60),
        _segment_row(recogniser, "training voices, held-out sentences", sentences, known, -60),
    )
    pipeline = load(bundle, whole_pipeline=True)
    long = held_out_sentences(int(minutes * 60 / 4.2), seed + 2)
    rows, timings = [], []
    for name, voices in (("one held-out voice", held_out[:1]), ("three held-out voices", held_out)):
        recording = speech.compose(long, voices, seed=seed)
        row, timing = _pipeline_row(pipeline, f"{recording.duration_ms / 60_000:.1f} minutes, {name}", recording)
        rows.append(row)
        timings.append(timing)
    false_segments = sum(len(_vad_segments(pipeline, audio)) for audio in without_speech(seed))
    return Results(segments, tuple(rows), timings[-1], false_segments, recording.duration_ms / 60_000)


def _segment_row(
    recogniser: AutoModel, condition: str, sentences: Sequence[str], voices: Sequence[Voice], noise_db: float
) -> Row:
    errors = characters = 0
    for index, text in enumerate(sentences):
        recording = speech.compose([text], voices, seed=index, noise_db=noise_db, edge_seconds=0.2)
        answer = recogniser.generate(recording.samples)
        wrong, length = count_errors(text, answer[0]["text"] if answer else "")
        errors, characters = errors + wrong, characters + length
    return Row(condition, len(sentences), characters, errors)


def _pipeline_row(pipeline: AutoModel, condition: str, recording: Recording) -> tuple[Row, Timing]:
    answer = pipeline.generate(recording.samples, dynamic_silence=False, return_raw_text=True, batch_size_s=60)[0]
    reference = "".join(sentence.text for sentence in recording.sentences)
    errors, characters = count_errors(reference, answer["text"])
    row = Row(condition, len(recording.sentences), characters, errors)
    words = answer["raw_text"].split()
    return row, sentence_times(recording, words, answer["timestamp"])


def sentence_times(recording: Recording, words: Sequence[str], times: Sequence[Sequence[int]]) -> Timing:
    """Compare the reference times of sentences with those of the recognised words aligned to their ends.

    `words` and `times` ([start, end] in ms) belong together. A sentence counts if its first and its last
    character were recognised.
    """
    letters = [(letter, index) for index, word in enumerate(words) for letter in plain(word)]
    reference = "".join(plain(sentence.text) for sentence in recording.sentences)
    aligned: dict[int, int] = {}
    for block in Levenshtein.opcodes(reference, "".join(letter for letter, _ in letters)):
        if block.tag == "equal":
            shift = block.dest_start - block.src_start
            aligned.update((place, place + shift) for place in range(block.src_start, block.src_end))
    errors: list[float] = []
    position = counted = 0
    for sentence in recording.sentences:
        first, position = position, position + len(plain(sentence.text))
        if first in aligned and position - 1 in aligned:
            start = times[letters[aligned[first]][1]][0]
            end = times[letters[aligned[position - 1]][1]][1]
            errors += [abs(start - sentence.start_ms), abs(end - sentence.end_ms)]
            counted += 1
    values = np.array(errors or [float("nan")])
    return Timing(
        counted,
        float(np.median(values)),
        float(np.percentile(values, 95)),
        float(values.max()),
        float((values <= TIME_BAR_MS).mean()),
    )


def without_speech(seed: int, seconds: float = 30.0) -> list[Samples]:
    """Recordings without speech: digital silence, and noise from faint to clear."""
    generator = np.random.default_rng(seed)
    length = int(seconds * SAMPLE_RATE)
    noises = [
        speech.noise(length, kind, level, generator) for kind in ("white", "pink", "hum") for level in (-70, -55, -40)
    ]
    return [np.zeros(length, np.float32), *noises]


def _vad_segments(pipeline: AutoModel, audio: Samples) -> list[Any]:
    answer = pipeline.inference(
        audio, model=pipeline.vad_model, kwargs=pipeline.vad_kwargs, dynamic_silence=False, disable_pbar=True
    )
    return list(answer[0]["value"])


def table(results: Results) -> str:
    """The results as Markdown."""
    lines = ["| condition | sentences | characters | errors | CER |", "| --- | ---: | ---: | ---: | ---: |"]
    named = [("segment", row) for row in results.segments] + [("whole pipeline", row) for row in results.pipeline]
    for kind, row in named:
        lines.append(
            f"| {kind}: {row.condition} | {row.sentences} | {row.characters} | {row.errors} | {row.rate:.2%} |"
        )
    timing = results.timing
    lines += [
        "",
        f"Starts and ends of {timing.sentences} sentences in the last of these: half within {timing.median_ms:.0f} ms, "
        f"95 % within {timing.percentile_95_ms:.0f} ms, the worst {timing.worst_ms:.0f} ms, "
        f"{timing.within_bar:.1%} within {TIME_BAR_MS} ms.",
        "",
        f"Speech segments found in ten 30-second recordings of silence and noise: {results.segments_in_silence}.",
    ]
    return "\n".join(lines)
