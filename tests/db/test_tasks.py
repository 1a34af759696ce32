"""transcribe(job_id), called as a function, with the real database, storage, decoder and engine."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from structlog.testing import capture_logs

from common import audio_keys, ids, jobs
from common.db import Database
from common.job_states import Outcome, Stage, Status
from common.jobs import Job, Submission, Worker
from common.settings import Settings
from common.storage import Storage, make_storage
from common.transcript.values import Sentence
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.e2e.recordings import Recording, ffmpeg, write
from tests.engine.test_pipeline import same
from tests.servers import HttpServer, fresh_database
from tests.waiting import until
from training.speech import SAMPLE_RATE
from worker.engine.device.faults import DeviceLost
from worker.engine.engine import Engine
from worker.engine.resume_state import StateIdentity
from worker.transcription.attempt_timer import AttemptTimer
from worker.transcription.lease import LeaseKeeper, RunningJob
from worker.transcription.retry import RetryPolicy
from worker.transcription.source import Fetcher
from worker.transcription.tasks import Transcriber

PART_SECONDS = 15.0
FAST: dict[str, Any] = {
    "lease_seconds": 3.0,
    "renew_seconds": 0.2,
    "part_seconds": PART_SECONDS,
    "retry_base_seconds": 0.5,
}


@dataclass
class Bench:
    """One worker's transcriber, and what it stands on."""

    settings: Settings
    database: Database
    storage: Storage
    transcriber: Transcriber

    def upload(self, path: Path, **options: Any) -> Job:
        """A queued job whose audio lies in storage."""
        job_id = ids.new_id()
        key = f"{audio_keys.prefix(job_id)}upload"
        writer = self.storage.writer(key)
        writer.write(path.read_bytes())
        stored = writer.commit()
        where: dict[str, Any] = {
            "audio_key": key,
            "audio_bytes": stored.size,
            "audio_sha256": stored.sha256,
            "name": path.name,
        }
        return jobs.submit(self.database, Submission(job_id, "demo-zh", "upload", **where, **options))

    def link(self, url: str) -> Job:
        """A queued job for a link."""
        return jobs.submit(self.database, Submission(ids.new_id(), "demo-zh", "http", url=url))

    def run(self, job: Job) -> str:
        """What a message does."""
        return self.transcriber.run(job.public_id)

    def now(self, job: Job) -> Job:
        """The job as it stands."""
        return jobs.get(self.database, job.id)

    def sentences(self, job: Job) -> list[Sentence]:
        """What the database has of its present run."""
        return list(jobs.sentences(self.database, self.now(job)))

    def execute(self, statement: str, **values: Any) -> list[Any]:
        """SQL of a test's own."""
        with psycopg.connect(self.settings.database_url.get_secret_value(), autocommit=True) as connection:
            done = connection.execute(statement, values)
            return list(done.fetchall()) if done.description else []

    def parts(self, job: Job) -> int:
        """How many parts are committed."""
        found = self.execute("SELECT count(*) FROM parts WHERE job_id = %(id)s", id=job.id)
        return int(found[0][0])

    def other(self, **changes: Any) -> Bench:
        """Another worker at the same job, with other settings; its leases are not renewed until `start`."""
        return bench_with(self.settings.model_copy(update=changes), self.database, self.transcriber.engine)


def bench_with(settings: Settings, database: Database, engine: Engine) -> Bench:
    storage = make_storage(settings)
    worker = Worker(f"w-{uuid.uuid4().hex[:6]}", engine.bundle, engine.revision, engine.precision, "cpu", 4)
    transcriber = Transcriber(
        settings=settings,
        database=database,
        engine=engine,
        fetcher=Fetcher(settings, database, storage),
        leases=LeaseKeeper(
            database, worker, lease_seconds=settings.lease_seconds, renew_seconds=settings.renew_seconds
        ),
        retries=RetryPolicy(
            settings.max_attempts, settings.retry_base_seconds, settings.retry_max_seconds, settings.max_outage_attempts
        ),
        worker=worker.id,
        wake_dispatcher=lambda: None,
    )
    return Bench(settings, database, storage, transcriber)


@pytest.fixture(scope="module")
def module_database(postgres: Postgres) -> Iterator[str]:
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def module_bench(module_database: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp("tasks")
    values: dict[str, Any] = {
        "database_url": module_database,
        "storage_url": f"file:{place / 'storage'}",
        "scratch_dir": place / "scratch",
        "models_dir": REPOSITORY / "models",
        "model": "demo-zh",
        "model_source": "local",
        "device": "cpu",
        "fetch_allowed_private": ("127.0.0.1",),
        "fetch_resumes": 0,
        "fetch_stall_seconds": 10,
        "max_upload_bytes": 30_000_000,
        "max_attempts": 3,
    }
    settings = Settings(**values, **FAST)
    database = Database(settings.sqlalchemy_url, 10)
    bench = bench_with(settings, database, engine)
    bench.transcriber.leases.start()
    yield bench
    bench.transcriber.leases.end()
    database.close()


@pytest.fixture
def bench(module_bench: Bench) -> Iterator[Bench]:
    """After each test: no lease held, nothing on the scratch disk."""
    yield module_bench
    held = module_bench.execute("SELECT count(*) FROM jobs WHERE lease_token IS NOT NULL")
    module_bench.execute("DELETE FROM jobs")
    assert held == [(0,)]
    scratch = module_bench.settings.scratch_dir
    assert not scratch.exists() or not list(scratch.iterdir())


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory, recording: Recording) -> Path:
    """A minute and a half of speech."""
    return write(recording.samples[: 90 * SAMPLE_RATE], tmp_path_factory.mktemp("audio") / "a.mp3", "-b:a", "48k")


@pytest.fixture(scope="module")
def reference(module_bench: Bench, audio: Path) -> list[Sentence]:
    """What an undisturbed run makes of `audio`."""
    job = module_bench.upload(audio)
    assert module_bench.run(job) == "completed"
    return module_bench.sentences(job)


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
    assert bench.run(job) == "not_to_be_had"


def test_messages_for_what_cannot_be_had_change_nothing(bench: Bench, audio: Path) -> None:
    canceled = bench.upload(audio)
    jobs.cancel(bench.database, canceled.id)
    other = bench.upload(audio)
    bench.execute("UPDATE jobs SET model = 'another' WHERE id = %(id)s", id=other.id)
    for job in (canceled, other):
        before = bench.now(job)
        assert bench.run(job) == "not_to_be_had"
        assert bench.now(job) == before
        assert jobs.attempts(bench.database, job.id) == []
    assert bench.transcriber.run(ids.shown(ids.JOB, ids.new_id())) == "not_to_be_had"


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
        told = dict(zip(submitted, pool.map(module_bench.run, submitted.values()), strict=True))
    return {name: (told[name], module_bench.now(job)) for name, job in submitted.items()}


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
    found = list(jobs.sentences(module_bench.database, job))
    assert bool(found) == (name != "silence")
    codes = [warning.code for warning in job.recording.warnings]
    assert codes == {"silence": ["no_speech"]}.get(name, ["audio_truncated"] if name.startswith("cut") else [])
    assert [track.heard for track in job.recording.tracks] == [True]
    if name == "good":
        assert same(found, reference)


@pytest.mark.parametrize(
    ("path", "code"),
    [("missing", "source_not_found"), ("page", "source_not_audio"), ("large", "source_too_large")],
)
def test_a_bad_link_fails_with_its_code(bench: Bench, http_server: HttpServer, path: str, code: str) -> None:
    (http_server.directory / "page").write_text("<!doctype html><title>Sign in</title>")
    (http_server.directory / "large").write_bytes(bytes(1000))
    own = bench.other(max_upload_bytes=900)
    job = own.link(http_server.url(path))
    assert own.run(job) == "failed"
    failure = own.now(job).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == (code, False)
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert (attempt.outcome, attempt.error_code) == (Outcome.FAILED, code)


def test_a_link_leads_to_a_transcript(
    bench: Bench, http_server: HttpServer, audio: Path, reference: list[Sentence]
) -> None:
    (http_server.directory / "a.mp3").write_bytes(audio.read_bytes())
    job = bench.link(http_server.url("a.mp3"))
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)
    assert bench.now(job).source.audio_bytes == audio.stat().st_size


@pytest.mark.parametrize("form", ["mp3", "flac"])
def test_audio_over_the_duration_limit_fails(bench: Bench, audio: Path, form: str, tmp_path: Path) -> None:
    """At once where the file says its length reliably, as flac does; else when the samples pass the limit."""
    own = bench.other(max_audio_hours=60 / 3600)
    path = tmp_path / f"long.{form}"
    ffmpeg("-i", audio, path)
    job = own.upload(path)
    assert own.run(job) == "failed"
    failure = own.now(job).failure
    assert failure is not None
    assert failure.code == "audio_too_long"
    assert all(sentence.end_ms <= 60_000 for sentence in bench.sentences(job))
    assert form == "mp3" or not bench.sentences(job)


def test_a_transient_error_is_tried_again_later(
    bench: Bench, http_server: HttpServer, audio: Path, reference: list[Sentence]
) -> None:
    busy = [True]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = b"" if busy[0] else audio.read_bytes()
        handler.send_response(503 if busy[0] else 200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    http_server.routes["/a"] = answer
    job = bench.link(http_server.url("a"))
    assert bench.run(job) == "retrying"
    waiting = bench.now(job)
    assert (waiting.status, waiting.stage, waiting.attempts) == (Status.QUEUED, None, 1)
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert (attempt.outcome, attempt.error_code) == (Outcome.RETRYING, "source_unreachable")
    pause = bench.execute(
        "SELECT extract(epoch FROM not_before - now())::float8 FROM jobs WHERE id = %(id)s", id=job.id
    )
    assert -0.2 < pause[0][0] <= 0.5
    bench.execute("UPDATE jobs SET not_before = now() + interval '1 hour' WHERE id = %(id)s", id=job.id)
    assert bench.run(job) == "not_to_be_had"
    bench.execute("UPDATE jobs SET not_before = now() WHERE id = %(id)s", id=job.id)
    busy[0] = False
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)


def test_the_last_attempt_says_the_error(bench: Bench, http_server: HttpServer) -> None:
    http_server.routes["/a"] = lambda handler: handler.send_error(503)
    job = bench.link(http_server.url("a"))
    told = []
    for _ in range(3):
        bench.execute("UPDATE jobs SET not_before = now() WHERE id = %(id)s", id=job.id)
        told.append(bench.run(job))
    assert told == ["retrying", "retrying", "failed"]
    failure = bench.now(job).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("source_unreachable", True)
    assert [item.number for item in jobs.attempts(bench.database, job.id)] == [1, 2, 3]


def in_background(bench: Bench, job: Job) -> tuple[threading.Thread, list[str]]:
    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(bench.run(job)))
    thread.start()
    return thread, told


def test_a_cancel_stops_it(bench: Bench, audio: Path) -> None:
    job = bench.upload(audio)
    thread, told = in_background(bench, job)
    until(lambda: bench.parts(job) >= 1)
    jobs.cancel(bench.database, job.id)
    thread.join(60)
    assert told == ["canceled"]
    assert bench.now(job).status is Status.CANCELED
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert attempt.outcome == Outcome.CANCELED
    assert bench.transcriber.engine.stats().queued_segments == 0


def test_a_cancel_stops_a_download_that_stalls(bench: Bench, http_server: HttpServer) -> None:
    reached, over = threading.Event(), threading.Event()

    def stall(_: BaseHTTPRequestHandler) -> None:
        reached.set()
        over.wait()

    http_server.routes["/a"] = stall
    # Longer than a test may take: nothing but the cancel can end it.
    patient = bench.other(fetch_stall_seconds=3600, fetch_timeout_seconds=3600)
    patient.transcriber.leases.start()
    try:
        job = patient.link(http_server.url("a"))
        thread, told = in_background(patient, job)
        assert reached.wait(60)
        jobs.cancel(bench.database, job.id)
        thread.join(60)
        assert told == ["canceled"]
    finally:
        over.set()
        patient.transcriber.leases.end()


def lose(bench: Bench, job: Job) -> None:
    """What happens to a worker that was frozen for longer than its lease."""

    def taken_back() -> bool:
        bench.execute("UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE id = %(id)s", id=job.id)
        return any(lost.job_id == job.id for lost in jobs.rescue_expired(bench.database))

    until(taken_back)


def test_a_worker_that_lost_its_lease_writes_nothing_more(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    job = bench.upload(audio)
    thread, told = in_background(bench, job)
    until(lambda: bench.parts(job) >= 1)
    lose(bench, job)
    parts, sentences = bench.parts(job), len(bench.sentences(job))
    thread.join(10)
    assert told == ["lost"]
    assert (bench.parts(job), len(bench.sentences(job))) == (parts, sentences)
    assert bench.now(job).status is Status.QUEUED
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)
    first, second = jobs.attempts(bench.database, job.id)
    assert first.outcome == Outcome.LOST
    assert first.error_message is not None
    assert "alive" in first.error_message
    assert second.resumed_ms is not None
    assert second.resumed_ms >= PART_SECONDS * 1000


def test_a_worker_that_lost_its_lease_at_the_very_end_completes_nothing(bench: Bench, audio: Path) -> None:
    """Its keeper is silent, as if frozen: only the token in its last write can tell."""
    frozen = bench.other()
    job = frozen.upload(audio)
    thread, told = in_background(frozen, job)
    until(lambda: bench.parts(job) >= 1)
    lose(bench, job)
    thread.join(20)
    assert told == ["lost"]
    assert bench.now(job).status is Status.QUEUED
    assert bench.now(job).result is None


def test_a_shutdown_hands_the_job_back(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    leaving = bench.other(part_seconds=1000.0)
    leaving.transcriber.leases.start()
    job = leaving.upload(audio)
    thread, told = in_background(leaving, job)
    until(lambda: bench.now(job).processed_ms > 10_000)
    leaving.transcriber.leases.shut_down()
    thread.join(10)
    leaving.transcriber.leases.end()
    assert told == ["shutdown"]
    waiting = bench.now(job)
    assert (waiting.status, waiting.failure) == (Status.QUEUED, None)
    assert bench.parts(job) == 1
    assert bench.execute("SELECT failures, crashes FROM jobs WHERE id = %(id)s", id=job.id) == [(0, 0)]
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)
    first, second = jobs.attempts(bench.database, job.id)
    assert (first.outcome, second.outcome) == (Outcome.RELEASED, Outcome.COMPLETED)
    assert second.resumed_ms is not None
    assert second.resumed_ms > 10_000
    done = bench.now(job)
    assert done.result is not None
    assert done.result.processing_ms == sum(item.stage_ms["transcribing"] for item in (first, second))


@pytest.mark.parametrize("state", ["another revision", "an older version", "a newer version", "unreadable"])
def test_parts_that_cannot_be_continued_are_thrown_away(
    bench: Bench, audio: Path, reference: list[Sentence], engine: Engine, state: str
) -> None:
    """After an update of the model or of the service, after one was taken back, and after damage."""
    leaving = bench.other()
    leaving.transcriber.leases.start()
    job = leaving.upload(audio)
    thread, _ = in_background(leaving, job)
    until(lambda: bench.parts(job) >= 1)
    leaving.transcriber.leases.shut_down()
    thread.join(10)
    leaving.transcriber.leases.end()
    assert bench.now(job).status is Status.QUEUED
    ((number, packed),) = bench.execute(
        "SELECT number, state FROM parts WHERE job_id = %(id)s AND state IS NOT NULL", id=job.id
    )
    bench.execute(
        "UPDATE parts SET state = %(state)s WHERE job_id = %(id)s AND number = %(number)s",
        state=other_state(packed, engine.state_identity, state),
        id=job.id,
        number=number,
    )
    bench.execute("UPDATE sentences SET text = 'of the thrown away run' WHERE job_id = %(id)s", id=job.id)
    with capture_logs() as logs:
        assert bench.run(job) == "completed"
    assert [line["event"] for line in logs if line["event"] == "run_restarted"] == ["run_restarted"]
    assert same(bench.sentences(job), reference)


def other_state(packed: bytes, identity: StateIdentity, kind: str) -> bytes:
    """A part's state as something else would have left it."""
    fields = json.loads(packed)
    stream = base64.b64decode(fields["streams"][0])
    changes: dict[str, dict[str, Any]] = {
        "another revision": {"revision": "older"},
        "an older version": {"version": identity.version - 1},
        "a newer version": {"version": identity.version + 1},
    }
    changed = replace(identity, **changes[kind]).pack(identity.unpack(stream)) if kind in changes else stream[:-1]
    return json.dumps(fields | {"streams": [base64.b64encode(changed).decode("ascii")]}).encode()


def test_a_lost_device_gives_the_lease_up_at_once(
    bench: Bench, audio: Path, reference: list[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt counts as lost, so that a job that loses every device it gets to is found out."""
    job = bench.upload(audio)

    def lose_device(*_arguments: Any) -> None:
        raise DeviceLost("The device does not work any more: an illegal memory access")

    with monkeypatch.context() as patch:
        patch.setattr("worker.transcription.tasks.transcribe", lose_device)
        assert bench.run(job) == "lost"
    assert bench.now(job).status is Status.PROCESSING
    # A renewal that was under way may have extended the lease once more.
    until(lambda: job.id in [lost.job_id for lost in jobs.rescue_expired(bench.database)], 120)
    assert bench.execute("SELECT failures, crashes FROM jobs WHERE id = %(id)s", id=job.id) == [(0, 1)]
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)


def test_the_database_may_be_away_for_a_moment(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    """Every connection is cut, again and again, for longer than the first part takes."""
    job = bench.upload(audio)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    cut += " WHERE datname = current_database() AND application_name = 'paraqueue'"
    thread, told = in_background(bench, job)
    until(lambda: bench.now(job).status is Status.PROCESSING)
    cuts = 0
    for _ in range(50):
        cuts += bench.execute(cut)[0][0]
        time.sleep(0.03)
    thread.join(60)
    assert cuts > 5
    assert told == ["completed"]
    assert same(bench.sentences(job), reference)


def test_a_claim_while_the_database_is_away_is_left_to_the_next_message(bench: Bench, audio: Path) -> None:
    job = bench.upload(audio)
    away = replace(bench.transcriber, database=Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing", 1))
    with capture_logs() as logs:
        assert away.run(job.public_id) == "postponed"
    assert sorted((line["event"], line["job_id"], line["error_code"]) for line in logs) == [
        ("claim_not_undone", job.public_id, "unavailable"),
        ("claim_postponed", job.public_id, "unavailable"),
    ]
    assert bench.now(job).status is Status.QUEUED


def test_one_of_many_workers_gets_the_job(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    job = bench.upload(audio)
    with ThreadPoolExecutor(6) as pool:
        told = sorted(pool.map(lambda _: bench.run(job), range(6)))
    assert told == ["completed"] + ["not_to_be_had"] * 5
    assert len(jobs.attempts(bench.database, job.id)) == 1
    assert same(bench.sentences(job), reference)


def test_channels_are_split_where_asked(bench: Bench, recording: Recording, tmp_path: Path) -> None:
    short = recording.samples[: 20 * SAMPLE_RATE]
    path = write(np.stack([short, short * 0]), tmp_path / "call.flac")
    job = bench.upload(path, channels="split")
    assert bench.run(job) == "completed"
    done = bench.now(job)
    assert done.result is not None
    assert done.result.channels == 2
    assert {sentence.channel for sentence in bench.sentences(job)} == {0}


def test_a_defect_of_ours_is_not_told_in_detail(bench: Bench, audio: Path) -> None:
    """The job says that something inside broke and is tried again; what it was stands in the log."""
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
