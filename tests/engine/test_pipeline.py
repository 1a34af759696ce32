"""Audio → parts of sentences, with the real engine: parts, resuming, stopping, progress, memory."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import AudioNotDecodable
from common.transcript.values import Part, Sentence
from tests.e2e.recordings import Recording, write
from training.speech import SAMPLE_RATE, noise, to_pcm
from worker.engine.audio import DecodeLimits
from worker.engine.engine import Engine
from worker.transcription.pipeline import (
    BLOCK_SAMPLES,
    LONGEST_PART,
    Hooks,
    PipelineResult,
    Request,
    transcribe,
)
from worker.transcription.stop import StopSignal

LIMITS = DecodeLimits(max_duration_ms=None, cpu_seconds=600, memory_bytes=2**31, idle_timeout_seconds=30)
WHOLE = 1e6  # seconds: longer than any audio here
BLOCK_MS = BLOCK_SAMPLES * 1000 // SAMPLE_RATE


@dataclass
class Told:
    """What a run handed over."""

    parts: list[Part] = field(default_factory=list)
    progress: list[tuple[int, int | None]] = field(default_factory=list)
    ending: PipelineResult | None = None

    @property
    def everything(self) -> list[Part]:
        """The parts with the last one."""
        assert self.ending is not None
        return [*self.parts, self.ending.last]

    @property
    def sentences(self) -> list[Sentence]:
        """All sentences in the order of the parts."""
        return [sentence for part in self.everything for sentence in part.sentences]


def run(
    engine: Engine,
    path: Path,
    part_seconds: float = WHOLE,
    *,
    split: bool = False,
    resume: Part | None = None,
    signal: StopSignal | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    log: Told | None = None,
) -> Told:
    log = log or Told()

    def progress(done: int, total: int | None) -> None:
        log.progress.append((done, total))
        if on_progress:
            on_progress(done, total)

    hooks = Hooks(log.parts.append, progress, signal or StopSignal())
    request = Request("job", path, LIMITS, part_seconds, resume, channels="split" if split else "mix")
    log.ending = transcribe(engine, request, hooks)
    return log


def same(got: list[Sentence], wanted: list[Sentence]) -> bool:
    """Whether two transcripts are the same to the letter and to the millisecond.

    Confidence is a floating-point number out of batches of different shapes: it is the same but for rounding.
    """
    exact = [[replace(item, confidence=0, words=()) for item in items] for items in (got, wanted)]
    words = [[word for item in items for word in item.words] for items in (got, wanted)]
    placed = [[replace(word, confidence=0) for word in each] for each in words]
    sure = [
        np.array([item.confidence for item in items] + [word.confidence for word in each])
        for items, each in zip((got, wanted), words, strict=True)
    ]
    return exact[0] == exact[1] and placed[0] == placed[1] and bool(np.all(np.abs(sure[0] - sure[1]) < 1e-4))


def same_parts(got: list[Part], wanted: list[Part]) -> bool:
    """Whether the same sentences were committed at the same places."""
    places = [
        [(part.number, part.start_ms, part.end_ms, len(part.sentences), part.last) for part in parts]
        for parts in (got, wanted)
    ]
    sentences = [[sentence for part in parts for sentence in part.sentences] for parts in (got, wanted)]
    return places[0] == places[1] and same(*sentences)


def children() -> set[int]:
    """Processes that this one, any thread of it, started and that have not ended."""
    return children_of("self")


def children_of(process: int | str) -> set[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.fixture(scope="module")
def mp3(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(recording.samples, tmp_path_factory.mktemp("audio") / "a.mp3", "-b:a", "48k")


@pytest.fixture(scope="module")
def stereo(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers at once: the recording, and its second half before its first."""
    middle = len(recording.samples) // 2
    other = np.concatenate([recording.samples[middle:], recording.samples[:middle]])
    return write(np.stack([recording.samples, other]), tmp_path_factory.mktemp("audio") / "b.flac")


@pytest.fixture(scope="module")
def undisturbed(engine: Engine, mp3: Path) -> Told:
    return run(engine, mp3, 15)


@pytest.fixture(autouse=True)
def nothing_left_behind(engine: Engine) -> Iterator[None]:
    """After each test: no child, nothing queued."""
    before = children()
    yield
    assert children() <= before
    assert engine.stats().queued_segments == 0


def test_parts_cover_the_audio_without_gaps(undisturbed: Told, recording: Recording) -> None:
    parts = undisturbed.everything
    assert len(parts) >= 5
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [part.start_ms for part in parts] == [0, *(part.end_ms for part in parts[:-1])]
    assert undisturbed.ending is not None
    assert parts[-1].end_ms == undisturbed.ending.audio_ms
    assert abs(undisturbed.ending.audio_ms - recording.duration_ms) < 100
    for part in parts[:-1]:
        assert 15_000 <= part.end_ms - part.start_ms <= 15_000 * LONGEST_PART + BLOCK_MS
        assert part.state


def test_sentences_are_in_order_and_inside_the_audio(undisturbed: Told) -> None:
    sentences = undisturbed.sentences
    assert len(sentences) >= 5
    words = [word for sentence in sentences for word in sentence.words]
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert undisturbed.ending is not None
    assert edges[-1] <= undisturbed.ending.audio_ms
    assert len({word.start_ms for word in words}) > len(words) * 0.9
    following = [sentence.start_ms for sentence in sentences[1:]] + [undisturbed.ending.audio_ms]
    for sentence, next_start_ms in zip(sentences, following, strict=True):
        assert sentence.start_ms == sentence.words[0].start_ms
        # A sentence ends with its last word or, where it closes a speech segment, with the speech.
        assert sentence.words[-1].end_ms <= sentence.end_ms <= next_start_ms
        assert 0 < sentence.confidence <= 1
        assert sentence.text.strip()


@pytest.mark.parametrize("part_seconds", [WHOLE, 40, 2])
def test_the_text_does_not_depend_on_the_parts(
    engine: Engine, mp3: Path, undisturbed: Told, part_seconds: float
) -> None:
    """At two seconds parts also end within words: no pause is as frequent."""
    log = run(engine, mp3, part_seconds)
    assert same(log.sentences, undisturbed.sentences)
    assert (len(log.parts) == 0) == (part_seconds == WHOLE)
    if part_seconds == 2:
        spoken = [(sentence.start_ms, sentence.end_ms) for sentence in log.sentences]
        assert any(start < part.end_ms < end for part in log.parts for start, end in spoken)


def test_each_channel_is_read_for_itself(engine: Engine, stereo: Path, recording: Recording, tmp_path: Path) -> None:
    both = run(engine, stereo, 14, split=True)
    assert both.ending is not None
    assert both.ending.channels == 2
    alone = run(engine, write(recording.samples, tmp_path / "left.flac"))
    left = [sentence for sentence in both.sentences if sentence.channel == 0]
    right = [sentence for sentence in both.sentences if sentence.channel == 1]
    assert same(left, alone.sentences)
    assert right
    assert [sentence.text for sentence in right] != [sentence.text for sentence in left]
    for part in both.everything:
        assert [item.start_ms for item in part.sentences] == sorted(item.start_ms for item in part.sentences)


def test_two_channels_resume_too(engine: Engine, stereo: Path) -> None:
    both = run(engine, stereo, 14, split=True)
    assert len(both.parts) >= 2
    for done in range(1, len(both.parts) + 1):
        resumed = run(engine, stereo, 14, split=True, resume=both.parts[done - 1])
        assert same_parts(resumed.everything, both.everything[done:])


def test_two_channels_are_mixed_unless_split(engine: Engine, stereo: Path) -> None:
    mixed = run(engine, stereo)
    assert mixed.ending is not None
    assert mixed.ending.channels == 1
    assert {sentence.channel for sentence in mixed.sentences} == {0}


def test_progress_goes_up_and_stays_within_what_is_declared(undisturbed: Told) -> None:
    done = [item[0] for item in undisturbed.progress]
    assert done == sorted(set(done))
    assert len(done) > 20
    assert max(b - a for a, b in itertools.pairwise(done)) <= BLOCK_MS
    declared = {item[1] for item in undisturbed.progress}
    assert len(declared) == 1
    (total,) = declared
    assert total is not None
    assert undisturbed.ending is not None
    assert abs(total - undisturbed.ending.audio_ms) < 100


def test_progress_knows_no_total_where_the_file_declares_none(
    engine: Engine, recording: Recording, tmp_path: Path
) -> None:
    log = run(engine, write(recording.samples[: 20 * SAMPLE_RATE], tmp_path / "a.aac", "-f", "adts"))
    assert {total for _, total in log.progress} == {None}


@pytest.mark.parametrize("loudness_db", [None, -70.0, -50.0])
def test_silence_has_no_sentences(engine: Engine, tmp_path: Path, loudness_db: float | None) -> None:
    length = 30 * SAMPLE_RATE
    samples = np.zeros(length, np.int16)
    if loudness_db is not None:
        samples = to_pcm(noise(length, "pink", loudness_db, np.random.default_rng(3)))
    log = run(engine, write(samples, tmp_path / "silence.wav"), 10)
    assert log.sentences == []
    assert log.ending is not None
    assert log.ending.audio_ms == 30_000
    assert len(log.parts) >= 2


def test_an_error_of_the_caller_ends_the_child(engine: Engine, mp3: Path) -> None:
    def fail(_: Part) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transcribe(engine, Request("job", mp3, LIMITS, 10.0), Hooks(fail, lambda *_: None))


def test_an_error_of_the_file_is_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"this is no sound" * 1000)
    with pytest.raises(AudioNotDecodable):
        run(engine, tmp_path / "a.mp3")


def test_many_at_once_say_what_each_says_alone(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    """Segments of all of them meet in the same batches."""
    got: list[list[Sentence]] = []
    threads = [
        threading.Thread(target=lambda seconds=seconds: got.append(run(engine, mp3, seconds).sentences))
        for seconds in (WHOLE, 20, 50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(got) == 3
    assert all(same(each, undisturbed.sentences) for each in got)
