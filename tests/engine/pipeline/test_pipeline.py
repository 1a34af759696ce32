"""Audio → parts of sentences, with the real engine: parts, resuming, stopping, progress, memory."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest

from common.errors import AudioNotDecodable
from common.transcript.values import Part, Sentence
from tests.e2e.recordings import Recording, write
from tests.engine.pipeline.cases import BLOCK_MS, LIMITS, WHOLE, Told, run, same, same_parts
from training.speech import SAMPLE_RATE, noise, to_pcm
from worker.engine.engine import Engine
from worker.transcription.pipeline import (
    LONGEST_PART,
    Hooks,
    Request,
    transcribe,
)


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
