"""Streams: resume states, blocks of any size, cancel."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.transcript.values import Sentence
from worker.engine.engine import Engine
from worker.engine.resume_state import STATE_VERSION, StaleState

Samples = NDArray[np.int16]
Plain = list[tuple[str, int, int, list[tuple[str, int, int]]]]


def plain(sentences: list[Sentence]) -> Plain:
    """Everything that must be equal; confidences may differ in the seventh digit with the batch."""
    return [(s.text, s.start_ms, s.end_ms, [(w.text, w.start_ms, w.end_ms) for w in s.words]) for s in sentences]


def feed(engine: Engine, samples: Samples, generator: np.random.Generator, stops: list[int]) -> list[Sentence]:
    """A recording in blocks of random sizes; at each stop the stream is saved, thrown away and continued."""
    stream = engine.stream(key="resumed")
    sentences: list[Sentence] = []
    position, stops = 0, sorted(stops)
    while position < len(samples):
        size = int(generator.choice([1, 333, 16_000, 163_000, 480_000]))
        end = min([position + size, len(samples), *(s for s in stops if s > position)])
        sentences += stream.accept(samples[position:end])
        position = end
        if position in stops:
            state = stream.state()
            assert len(state) < 200_000
            stream = engine.stream(key="resumed again", state=state)
            position = stream.resume_sample
            stops = [stop for stop in stops if stop != end]
    return sentences + stream.finish()


@pytest.mark.parametrize("max_segment_ms", [None, 2000])
def test_resumed_equals_undisturbed(
    max_segment_ms: int | None,
    random_bundle: Path,
    make_engine: Callable[..., Engine],
    recordings: list[Samples],
) -> None:
    engine = make_engine(random_bundle, batch_seconds=30.0, max_segment_ms=max_segment_ms)
    generator = np.random.default_rng(17)
    for samples in recordings[:2]:
        undisturbed = plain(feed(engine, samples, generator, []))
        assert len(undisturbed) > 3
        for _ in range(2):
            stops = [int(stop) for stop in generator.integers(1, len(samples), 4)]
            assert plain(feed(engine, samples, generator, stops)) == undisturbed


def test_int8_is_the_same_alone_beside_others_and_resumed(
    random_bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(random_bundle, precision="int8", batch_seconds=30.0)
    generator = np.random.default_rng(23)
    alone = [plain(feed(engine, samples, generator, [])) for samples in recordings]
    assert min(map(len, alone)) > 3
    stops = [sorted(generator.integers(1, len(samples), 3).tolist()) for samples in recordings]
    generators = [np.random.default_rng(seed) for seed in range(len(recordings))]
    with ThreadPoolExecutor(4) as threads:
        together = list(
            threads.map(lambda job: plain(feed(engine, *job)), zip(recordings, generators, stops, strict=True))
        )
    assert together == alone


def test_state_keeps_sentences_that_nobody_took(
    random_bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(random_bundle, batch_seconds=30.0, max_segment_ms=None)
    samples = recordings[0]
    whole = engine.stream()
    expected = plain(whole.accept(samples) + whole.finish())
    first = engine.stream()
    taken = first.accept(samples[:500_000])
    second = engine.stream(state=first.state())
    rest = second.accept(samples[second.resume_sample :]) + second.finish()
    assert plain(taken + rest) == expected
    assert plain(taken + first.drain() + first.accept(samples[500_000:]) + first.finish()) == expected


def test_audio_that_is_not_needed_is_dropped(
    demo_bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    stream = engine.stream()
    for samples in (*recordings, *recordings):
        stream.accept(samples)
        assert stream.position_samples - stream.resume_sample <= 25 * 16_000
    stream.cancel()


def test_a_state_of_another_engine_is_stale(
    demo_bundle: Path, random_bundle: Path, make_engine: Callable[..., Engine]
) -> None:
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    state = engine.stream().state()
    other = make_engine(random_bundle, batch_seconds=30.0, max_segment_ms=None)
    with pytest.raises(StaleState, match="revision"):
        other.stream(state=state)
    with pytest.raises(StaleState, match="channel 0"):
        engine.stream(channel=1, state=state)


@pytest.mark.parametrize("version", [STATE_VERSION - 1, STATE_VERSION + 1])
def test_a_state_of_another_version_is_stale(
    demo_bundle: Path, make_engine: Callable[..., Engine], version: int
) -> None:
    """A worker of an older or of a newer version made it, before an update or before it was taken back."""
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    same = engine.state_identity.unpack(engine.stream().state())
    assert engine.stream(state=engine.state_identity.pack(same)).finish() == []
    with pytest.raises(StaleState, match=f"'version': {version}"):
        engine.stream(state=replace(engine.state_identity, version=version).pack(same))


def test_what_is_no_state_is_stale(demo_bundle: Path, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None)
    state = engine.stream().state()
    whole = engine.state_identity.unpack(state)
    broken = [b"", b"not a state", b"PK\x03\x04 cut off", state[: len(state) // 2], state[:-1], bytes(len(state))]
    broken += [engine.state_identity.pack({**whole, name: None}) for name in ("vad", "punctuation", "resume_sample")]
    broken += [engine.state_identity.pack({key: whole[key] for key in whole if key != name}) for name in whole]
    for packed in broken:
        with pytest.raises(StaleState):
            engine.stream(state=packed)


def test_a_changed_byte_is_noticed(demo_bundle: Path, make_engine: Callable[..., Engine]) -> None:
    identity = make_engine(demo_bundle, batch_seconds=120.0, max_segment_ms=None).state_identity
    state = identity.pack({"numbers": np.arange(500), "text": "文字", "none": None})
    for place in range(len(state)):
        with pytest.raises(StaleState):
            identity.unpack(state[:place] + bytes([state[place] ^ 255]) + state[place + 1 :])


def test_cancel_ends_the_stream(
    random_bundle: Path, make_engine: Callable[..., Engine], recordings: list[Samples]
) -> None:
    engine = make_engine(random_bundle, batch_seconds=30.0, max_segment_ms=2000)
    stream = engine.stream()
    stream.accept(recordings[0])
    stream.cancel()
    with pytest.raises(CancelledError):
        stream.finish()
    assert engine.stream().finish() == []  # the engine continues
