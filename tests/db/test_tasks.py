"""transcribe(job_id), called as a function, with the real database, storage, decoder and engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common import ids, jobs, vocabularies
from common.job_states import Outcome, Stage, Status
from common.jobs import Job
from common.options.transcription import TranscriptionOptions
from common.transcript.text_rules import TextRules, finished
from common.transcript.values import Sentence
from tests.db.task_cases import Bench
from tests.e2e.recordings import Recording, ffmpeg, write
from tests.engine.pipeline.cases import same
from training.speech import SAMPLE_RATE
from worker.transcription.attempt_timer import AttemptTimer
from worker.transcription.lease import RunningJob


def test_a_completed_job_has_everything_recorded(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    job = bench.upload(audio)
    assert bench.run(job) == "completed"
    done = bench.now(job)
    assert done.status is Status.COMPLETED
    assert (done.stage, done.progress, done.failure) == (None, 1.0, None)
    assert done.audio_ms is not None
    assert abs(done.audio_ms - 90_000) < 100
    assert (done.processed_ms, done.run, done.attempts) == (done.audio_ms, 1, 1)
    assert done.started_at is not None
    assert done.finished_at is not None
    assert done.created_at <= done.started_at <= done.finished_at
    engine = bench.transcriber.engine
    assert done.result is not None
    assert (done.result.model, done.result.revision) == ("demo-zh", engine.revision)
    assert (done.result.precision, done.result.channels, done.result.no_speech) == ("fp32", 1, False)
    assert same(bench.sentences(job), reference)
    assert bench.parts(job) >= 3
    left = "SELECT count(*) FROM parts WHERE job_id = %(id)s AND state IS NOT NULL"
    assert bench.execute(left, id=job.id) == [(0,)]
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert (attempt.outcome, attempt.error_code, attempt.resumed_ms) == (Outcome.COMPLETED, None, 0)
    assert set(attempt.stage_ms) >= {"fetching", "transcribing"}
    assert done.result.processing_ms == attempt.stage_ms["transcribing"] > 0
    assert bench.run(job) == "not_available"


def test_messages_for_what_cannot_be_had_change_nothing(bench: Bench, audio: Path) -> None:
    canceled = bench.upload(audio)
    jobs.cancel(bench.database, canceled.id)
    other = bench.upload(audio)
    bench.execute("UPDATE jobs SET model = 'another' WHERE id = %(id)s", id=other.id)
    for job in (canceled, other):
        before = bench.now(job)
        assert bench.run(job) == "not_available"
        assert bench.now(job) == before
        assert jobs.attempts(bench.database, job.id) == []
    assert bench.transcriber.run(ids.shown(ids.JOB, ids.new_id())) == "not_available"


@pytest.fixture(scope="module")
def files(audio: Path, recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Files of every bad kind, and a few that only look bad."""
    place = tmp_path_factory.mktemp("files")
    short = recording.samples[: 12 * SAMPLE_RATE]
    wav, m4a = write(short, place / "whole.wav"), write(short, place / "whole.m4a")
    fast = write(short, place / "fast.m4a", "-movflags", "+faststart")
    made = {
        name: place / name for name in ("text", "empty", "cut.wav", "cut.m4a", "cut-fast.m4a", "noise", "named.wav")
    }
    made["text"].write_text("会议纪要\n" * 500)
    made["empty"].touch()
    made["noise"].write_bytes(bytes(range(256)) * 400)
    made["cut.wav"].write_bytes(wav.read_bytes()[:150_000])
    made["cut.m4a"].write_bytes(m4a.read_bytes()[:-20_000])
    made["cut-fast.m4a"].write_bytes(fast.read_bytes()[:-40_000])
    made["named.wav"].write_bytes(write(short, place / "short.mp3").read_bytes())
    made["zero.wav"] = write(short[:0], place / "zero.wav")
    mute = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=2"]
    ffmpeg(*mute, "-c:v", "mpeg4", place / "mute.mp4")
    ffmpeg(*mute, "-i", wav, "-c:v", "mpeg4", place / "video.mkv")
    ffmpeg(*mute, "-frames:v", "1", place / "picture.png")
    (place / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    made |= {name: place / name for name in ("mute.mp4", "video.mkv", "picture.png", "list.m3u8")}
    return made | {"good": audio, "silence": write(short * 0, place / "silence.flac")}


BAD_FILES = {
    "text": "audio_not_decodable",
    "noise": "audio_not_decodable",
    "empty": "audio_empty",
    "zero.wav": "audio_empty",
    "cut.m4a": "audio_truncated",  # its index stood at the end
    "mute.mp4": "audio_missing",
    "picture.png": "audio_missing",
    "list.m3u8": "audio_not_decodable",
}


GOOD_FILES = ("good", "named.wav", "video.mkv", "silence", "cut.wav", "cut-fast.m4a")


@pytest.fixture(scope="module")
def outcomes(module_bench: Bench, files: Mapping[str, Path]) -> Mapping[str, tuple[str, Job]]:
    """What became of all the files, run beside each other in one worker."""
    submitted = {name: module_bench.upload(path) for name, path in files.items()}
    with ThreadPoolExecutor(4) as pool:
        outcomes = dict(zip(submitted, pool.map(module_bench.run, submitted.values()), strict=True))
    return {name: (outcomes[name], module_bench.now(job)) for name, job in submitted.items()}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_fails_with_its_code(outcomes: Mapping[str, tuple[str, Job]], name: str) -> None:
    outcome, job = outcomes[name]
    assert outcome == "failed"
    assert job.status is Status.FAILED
    assert job.failure is not None
    assert (job.failure.code, job.failure.retryable) == (BAD_FILES[name], False)
    assert job.failure.message
    assert "/" not in job.failure.message
    assert job.result is None


@pytest.mark.parametrize("name", GOOD_FILES)
def test_bad_files_harm_no_other(
    outcomes: Mapping[str, tuple[str, Job]], module_bench: Bench, name: str, reference: list[Sentence]
) -> None:
    outcome, job = outcomes[name]
    assert outcome == "completed"
    assert job.result is not None
    assert job.result.no_speech == (name == "silence")
    sentences = list(jobs.sentences(module_bench.database, job))
    assert bool(sentences) == (name != "silence")
    codes = [warning.code for warning in job.recording.warnings]
    assert codes == {"silence": ["no_speech"]}.get(name, ["audio_truncated"] if name.startswith("cut") else [])
    assert [track.transcribed for track in job.recording.tracks] == [True]
    if name == "good":
        assert same(sentences, reference)


@pytest.mark.parametrize("form", ["mp3", "flac"])
def test_audio_over_the_duration_limit_fails(bench: Bench, audio: Path, form: str, tmp_path: Path) -> None:
    """Before anything is transcribed, as both state their length and have the frames for it."""
    own = bench.other(max_audio_hours=60 / 3600)
    path = tmp_path / f"long.{form}"
    ffmpeg("-i", audio, path)
    job = own.upload(path)
    assert own.run(job) == "failed"
    failure = own.now(job).failure
    assert failure is not None
    assert failure.code == "audio_too_long"
    assert bench.sentences(job) == []


def test_channels_are_split_where_asked(bench: Bench, recording: Recording, tmp_path: Path) -> None:
    short = recording.samples[: 20 * SAMPLE_RATE]
    path = write(np.stack([short, short * 0]), tmp_path / "call.flac")
    job = bench.upload(path, channels="split")
    assert bench.run(job) == "completed"
    done = bench.now(job)
    assert done.result is not None
    assert done.result.channels == 2
    assert {sentence.channel for sentence in bench.sentences(job)} == {0}


def test_the_text_follows_the_options(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    hidden = reference[0].words[0].text
    options = TranscriptionOptions(itn=True, masked_words=(hidden,))
    job = bench.upload(audio, options=options)
    assert bench.run(job) == "completed"
    written = bench.sentences(job)
    assert same(written, [finished(sentence, options.text_rules) for sentence in reference])
    assert written[0].words[0].text == "*" * len(hidden)
    assert hidden not in "".join(sentence.text + (sentence.spoken or "") for sentence in written)


def test_the_words_of_a_vocabulary_are_those_of_the_submit(
    bench: Bench, audio: Path, reference: list[Sentence]
) -> None:
    word = reference[0].words[0].text + reference[0].words[1].text
    listed = vocabularies.create(bench.database, tenant="default", name="names", hotwords=[f"{word}=>replaced"])
    options, words = vocabularies.applied(listed, TranscriptionOptions())
    job = bench.upload(audio, options=options, words=words)
    vocabularies.remove(bench.database, listed.id, tenant="default")
    assert bench.run(job) == "completed"
    written = bench.sentences(job)
    rules = TextRules(hotwords=(f"{word}=>replaced",))
    assert same(written, [finished(sentence, rules) for sentence in reference])
    assert written[0].words[0].text == "replaced"


def test_a_job_is_segmented_as_it_asks(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    """Equal audio with another segmentation is no duplicate; a job that asks for nothing gets the worker's."""
    options = TranscriptionOptions(segmentation="dynamic")
    job = bench.upload(audio, options=options)
    assert bench.run(job) == "completed"
    done = bench.now(job)
    assert done.result is not None
    assert done.result.segmentation == "dynamic"
    assert bench.sentences(job) != reference
    again = bench.upload(audio, options=options, dedupe=True)
    assert bench.run(again) == "deduplicated"
    assert bench.now(again).result == replace(done.result, processing_ms=0)
    assert same(bench.sentences(again), bench.sentences(job))
    # As from a worker that did so by default.
    bench.execute("UPDATE jobs SET options = '{}' WHERE result_segmentation = 'dynamic'")
    plain = bench.upload(audio, dedupe=True)
    assert bench.run(plain) == "completed"
    result = bench.now(plain).result
    assert result is not None
    assert result.segmentation == "fixed"
    assert same(bench.sentences(plain), reference)


def test_a_defect_of_ours_is_not_told_in_detail(bench: Bench, audio: Path) -> None:
    """The job reports an internal error and is retried; the details are in the log."""
    own = bench.other(scratch_dir=audio / "no-directory")
    job = own.upload(audio)
    assert own.run(job) == "retrying"
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert attempt.error_code == "internal"
    assert attempt.error_message is not None
    assert "no-directory" not in attempt.error_message


def test_a_stopwatch_adds_up_and_says_the_stage(bench: Bench, audio: Path) -> None:
    job = bench.upload(audio)
    claim = jobs.claim(bench.database, job.id, worker="w", model="demo-zh", lease_seconds=30)
    assert claim is not None
    hold, watch = RunningJob(claim), AttemptTimer()
    with pytest.raises(ZeroDivisionError), watch.stage(hold, Stage.TRANSCRIBING):
        time.sleep(0.03)
        raise ZeroDivisionError
    with watch.stage(hold, Stage.TRANSCRIBING):
        time.sleep(0.03)
    assert hold.stage is Stage.TRANSCRIBING
    assert watch.stage_ms["transcribing"] >= 60
    jobs.release(bench.database, claim, stage_ms=watch.stage_ms)
