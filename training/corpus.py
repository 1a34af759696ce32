"""Training segments cut as voice activity detection would cut them, with the time of every token.

A segment holds one to four sentences of one or two speakers, pauses, silence at both ends, a level, a spectral
tilt and noise. Features are Kaldi filter banks exactly as FunASR's `WavFrontend` computes them with dither 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
from numpy.typing import NDArray

from training import speech
from training.speech import SAMPLE_RATE, Samples, Spoken, Voice
from training.text import spoken_pieces, token_list, tokens_of, training_sentences

MEL_BINS = 80
FRAME_MS = 10.0
FRAME_CENTRE_MS = 12.5
"""The middle of filter bank frame t lies at t * FRAME_MS + FRAME_CENTRE_MS."""

_CANDIDATES = 5
_SEGMENTS_PER_TASK = 100

Features = NDArray[np.float16]
"""Log filter banks, shape [frames, 80], one frame each 10 ms."""


@dataclass(frozen=True)
class Segment:
    """One training example.

    `tokens` are ids into `token_list()`, shape [tokens]; `spans` are (start, end) in ms, shape [tokens, 2].
    """

    features: Features
    tokens: NDArray[np.int64]
    spans: NDArray[np.float32]


@dataclass(frozen=True)
class SpokenTokens:
    """Audio with the tokens spoken in it and their times in ms."""

    samples: Samples
    tokens: list[str]
    spans: list[tuple[float, float]]


def fbank(samples: Samples) -> NDArray[np.float32]:
    """Kaldi log filter banks of 16 kHz audio, shape [frames, 80]: 25 ms Hamming windows, no dither."""
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = "hamming"
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.mel_opts.num_bins = MEL_BINS
    options.energy_floor = 0
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(SAMPLE_RATE, samples * 32768)
    computer.input_finished()
    return np.array([computer.get_frame(i) for i in range(computer.num_frames_ready)], np.float32)


def stack_frames(features: NDArray[Any], width: int, stride: int) -> NDArray[Any]:
    """Low frame rate stacking: [frames, d] → [ceil(frames / stride), d * width], edges repeated."""
    count = -(-len(features) // stride)
    places = np.arange(count)[:, None] * stride + np.arange(width) - (width - 1) // 2
    stacked: NDArray[Any] = features[np.clip(places, 0, len(features) - 1)].reshape(count, -1)
    return stacked


def token_spans(text: str, spoken: Spoken) -> list[tuple[float, float]]:
    """The time span of each token of `text`, in ms; tokens inside one mark share its time evenly."""
    pieces = spoken_pieces(text)
    spans: list[tuple[float, float]] = []
    for mark in spoken.marks:
        count = sum(len(tokens) for offset, tokens in pieces if mark.start <= offset < mark.end)
        edges = np.linspace(mark.start_ms, mark.end_ms, count + 1).tolist()
        spans.extend(pairwise(edges))
    if len(spans) != len(tokens_of(text)):
        raise ValueError(f"espeak-ng did not mark every word of {text!r}")
    return spans


def balanced_sentences(seed: int) -> Iterator[str]:
    """Training sentences, chosen so that rare characters occur more often than they would by chance."""
    stream = training_sentences(seed)
    seen: dict[str, int] = {}
    while True:
        candidates = list(islice(stream, _CANDIDATES))
        best = max(candidates, key=lambda text: max(1 / (1 + seen.get(t, 0)) for t in tokens_of(text)))
        for token in tokens_of(best):
            seen[token] = seen.get(token, 0) + 1
        yield best


def random_voice(voices: Sequence[Voice], generator: np.random.Generator) -> Voice:
    """One of `voices`, with randomly varied speed and pitch."""
    voice = voices[int(generator.integers(len(voices)))]
    rate = int(np.clip(voice.rate * generator.uniform(0.82, 1.2), 135, 220))
    pitch = int(np.clip(voice.pitch + generator.uniform(-15, 15), 15, 90))
    return Voice(voice.variant, rate, pitch, int(generator.integers(35, 70)))


def speak_segment(sentences: Sequence[str], voices: Sequence[Voice], generator: np.random.Generator) -> SpokenTokens:
    """Speak `sentences` one after the other as the recogniser will receive them, before level and noise are applied."""
    edge = int(generator.uniform(0, 0.6) * SAMPLE_RATE)
    pieces: list[Samples] = [np.zeros(edge, np.float32)]
    tokens: list[str] = []
    spans: list[tuple[float, float]] = []
    voice = random_voice(voices, generator)
    for index, text in enumerate(sentences):
        if index:
            longest = 0.5 if generator.random() < 0.85 else 0.9
            pieces.append(np.zeros(int(generator.uniform(0.08, longest) * SAMPLE_RATE), np.float32))
            if generator.random() < 0.3:
                voice = random_voice(voices, generator)
        offset = sum(map(len, pieces)) * 1000 / SAMPLE_RATE
        spoken = speech.synthesize(text, voice)
        pieces.append(speech.level(spoken.samples, float(generator.uniform(-21, -19))))
        tokens.extend(tokens_of(text))
        spans.extend((start + offset, end + offset) for start, end in token_spans(text, spoken))
    pieces.append(np.zeros(int(generator.uniform(0, 0.6) * SAMPLE_RATE), np.float32))
    return SpokenTokens(np.concatenate(pieces), tokens, spans)


def colour(samples: Samples, generator: np.random.Generator) -> Samples:
    """Apply a random spectral tilt, level (−34 to −13 dB) and, usually, noise 12 to 50 dB below the speech."""
    if generator.random() < 0.5:
        tilt = np.float32(generator.uniform(-0.4, 0.4))
        samples = (samples - tilt * np.concatenate([samples[:1], samples[:-1]])).astype(np.float32)
    level_db = float(generator.uniform(-34, -13))
    samples = speech.level(samples, level_db)
    if generator.random() < 0.8:
        kind = ("white", "pink", "pink", "hum")[int(generator.integers(4))]
        samples = samples + speech.noise(len(samples), kind, level_db - generator.uniform(12, 50), generator)
    return (np.round(np.clip(samples, -1, 1) * 32767) / 32768).astype(np.float32)


def make_segments(count: int, seed: int) -> list[Segment]:
    """`count` training segments; the same `seed` gives the same segments."""
    generator = np.random.default_rng(seed)
    sentences = balanced_sentences(seed)
    ids = {token: index for index, token in enumerate(token_list())}
    segments = []
    for _ in range(count):
        number = int(generator.choice((1, 2, 3, 4), p=(0.5, 0.28, 0.14, 0.08)))
        spoken = speak_segment(list(islice(sentences, number)), speech.TRAINING_VOICES, generator)
        features = fbank(colour(spoken.samples, generator)).astype(np.float16)
        tokens = np.array([ids[token] for token in spoken.tokens], np.int64)
        segments.append(Segment(features, tokens, np.array(spoken.spans, np.float32)))
    return segments


def make_corpus(count: int, seed: int, processes: int) -> list[Segment]:
    """`count` segments made by parallel processes; the result does not depend on the number of processes."""
    tasks = -(-count // _SEGMENTS_PER_TASK)
    seeds = [seed * 100_003 + index for index in range(tasks)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        made = pool.map(make_segments, [_SEGMENTS_PER_TASK] * tasks, seeds)
        return [segment for part in made for segment in part][:count]


def normalisation(stacked: Iterable[NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(−mean, 1 / standard deviation) per dimension over stacked features, as `am.mvn` holds them."""
    total, squares, frames = np.zeros(1), np.zeros(1), 0
    for features in stacked:
        block = features.astype(np.float64)
        total, squares, frames = total + block.sum(0), squares + (block**2).sum(0), frames + len(block)
    mean = total / frames
    return -mean, 1 / np.sqrt(squares / frames - mean**2)


def save_corpus(path: Path, segments: Sequence[Segment]) -> None:
    """Write segments to one `.npz` file."""
    np.savez(
        path,
        features=np.concatenate([s.features for s in segments]),
        frames=[len(s.features) for s in segments],
        tokens=np.concatenate([s.tokens for s in segments]),
        spans=np.concatenate([s.spans for s in segments]),
        counts=[len(s.tokens) for s in segments],
    )


def load_corpus(path: Path) -> list[Segment]:
    """Read what `save_corpus` wrote."""
    with np.load(path) as stored:
        frames, counts = np.cumsum(stored["frames"])[:-1], np.cumsum(stored["counts"])[:-1]
        parts = zip(
            np.split(stored["features"], frames),
            np.split(stored["tokens"], counts),
            np.split(stored["spans"], counts),
            strict=True,
        )
        return [Segment(*part) for part in parts]
