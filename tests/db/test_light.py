"""The light worker: its tasks as functions, and the real processes that run them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import redis
from structlog.testing import capture_logs

from common import audio_keys, ids, jobs
from common.db import Database
from common.job_states import Status
from common.jobs import Job, Submission, Worker
from common.queue import Publisher, make_app, transcribe_queue
from common.settings import Settings
from common.storage import Storage, make_storage
from dev.process import stop_all, wait_until
from dev.stack import REPOSITORY
from tests.db.light_cases import start
from tests.e2e.service import processes_of
from worker.light.cleaner import Cleaner
from worker.light.deliverer import Deliverer
from worker.light.main import HOUR_SECONDS, LightTasks
from worker.light.renderer import Renderer
from worker.light.sender import RetrySchedule, Sender
from worker.light.summarizer import Summarizer

WORKER = Worker("w", "demo-zh", "revision", "fp32", "cpu", 2)


@pytest.fixture
def light_tasks(settings: Settings) -> Iterator[LightTasks]:
    database = Database(settings.sqlalchemy_url, 4)
    plan = RetrySchedule(settings.webhook_retry_base_seconds, settings.webhook_retry_hours * HOUR_SECONDS)
    deliverer = Deliverer(database, Sender.of(settings), plan)
    yield LightTasks(
        settings,
        database,
        make_storage(settings),
        Publisher(make_app(settings)),
        deliverer,
        Renderer(settings, database, make_storage(settings)),
        Summarizer(database, None),
        Cleaner(settings, database, make_storage(settings)),
    )
    database.close()


def submitted(database: Database, storage: Storage | None = None) -> Job:
    job_id = ids.new_id()
    key = f"{audio_keys.prefix(job_id)}upload"
    if storage is not None:
        writer = storage.writer(key)
        writer.write(b"audio")
        writer.commit()
    return jobs.submit(database, Submission(job_id, "demo-zh", "upload", audio_key=key))


def with_expired_lease(database: Database) -> Job:
    """A job whose worker never responded again."""
    job = submitted(database)
    claim = jobs.claim(database, job.id, worker="gone", model="demo-zh", lease_seconds=0.001)
    assert claim is not None
    return job


def messages(settings: Settings) -> int:
    """How many jobs are announced."""
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        return int(client.llen(transcribe_queue("demo-zh")))


def execute(settings: Settings, statement: str) -> None:
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(statement)


def test_the_sweep_takes_back_what_a_dead_worker_left_and_announces_it(light_tasks: LightTasks) -> None:
    job = with_expired_lease(light_tasks.database)
    jobs.register_worker(light_tasks.database, WORKER)
    light_tasks.sweep()
    assert jobs.get(light_tasks.database, job.id).status is Status.QUEUED
    (attempt,) = jobs.attempts(light_tasks.database, job.id)
    assert (attempt.outcome, attempt.error_code) == ("lost", "worker_lost")
    assert messages(light_tasks.settings) == 1
    light_tasks.sweep()
    assert messages(light_tasks.settings) == 1, "what is announced already is not announced again so soon"


def test_the_sweep_leaves_living_leases_alone(light_tasks: LightTasks) -> None:
    job = submitted(light_tasks.database)
    assert jobs.claim(light_tasks.database, job.id, worker="alive", model="demo-zh", lease_seconds=30) is not None
    light_tasks.sweep()
    assert jobs.get(light_tasks.database, job.id).status is Status.PROCESSING


def test_the_sweep_gives_up_what_kills_every_worker(light_tasks: LightTasks) -> None:
    job = with_expired_lease(light_tasks.database)
    execute(light_tasks.settings, "UPDATE jobs SET crashes = 3, isolated_crashes = 1, isolated = true")
    light_tasks.sweep()
    failed = jobs.get(light_tasks.database, job.id)
    assert failed.status is Status.FAILED
    assert failed.failure is not None
    assert failed.failure.code == "poison"


def test_the_sweep_announces_no_more_than_there_are_slots(light_tasks: LightTasks) -> None:
    for _ in range(5):
        submitted(light_tasks.database)
    light_tasks.sweep()
    assert messages(light_tasks.settings) == 0, "nobody is there to take them"
    jobs.register_worker(light_tasks.database, WORKER)
    light_tasks.sweep()
    assert messages(light_tasks.settings) == WORKER.slots


def test_cleaning_deletes_what_outlived_its_time(light_tasks: LightTasks, tmp_path: Path) -> None:
    old, young, running = (submitted(light_tasks.database, light_tasks.storage) for _ in range(3))
    for job in (old, young):
        jobs.cancel(light_tasks.database, job.id)
    past = f"now() - interval '{light_tasks.settings.audio_retention_hours + 1} hours'"
    execute(light_tasks.settings, f"UPDATE jobs SET finished_at = {past} WHERE id = '{old.id}'")
    execute(light_tasks.settings, f"UPDATE jobs SET created_at = {past} WHERE id = '{running.id}'")
    orphan = tmp_path / "storage" / audio_keys.prefix(ids.new_id()) / "upload"
    fresh = tmp_path / "storage" / audio_keys.prefix(ids.new_id()) / "upload"
    for path in (orphan, fresh):
        path.parent.mkdir()
        path.touch()
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(orphan, (two_days_ago, two_days_ago))
    light_tasks.clean()
    left = {job.id: jobs.get(light_tasks.database, job.id).source.audio_key for job in (old, young, running)}
    assert left[old.id] is None
    assert left[young.id]
    assert left[running.id]
    kept = {key for key, _ in light_tasks.storage.keys("audio/")}
    assert kept == {left[young.id], left[running.id], fresh.relative_to(tmp_path / "storage").as_posix()}
    light_tasks.clean()
    assert {key for key, _ in light_tasks.storage.keys("audio/")} == kept


def test_what_is_away_is_said_in_a_line_for_each_step(light_tasks: LightTasks) -> None:
    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing", 1)
    away = replace(light_tasks, database=nowhere, cleaner=Cleaner(light_tasks.settings, nowhere, light_tasks.storage))
    with capture_logs() as logs:
        away.sweep()
        away.clean()
    events = [(line["event"], line["step"], line["error_code"]) for line in logs]
    cleaning = ["audio", "results", "jobs", "batches", "usage", "summary_usage", "deliveries"]
    cleaning += ["idempotency_keys", "shares", "voice_prints", "sessions", "uploads", "orphans"]
    steps = ["take_back", "forget_dead_workers", "dispatch", *cleaning]
    assert events == [("step_postponed", step, "unavailable") for step in steps]


def test_a_step_that_crashes_does_not_hold_up_the_others_and_is_told_with_its_traceback(
    light_tasks: LightTasks,
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError

    jobs.register_worker(light_tasks.database, WORKER)
    job = with_expired_lease(light_tasks.database)
    submitted(light_tasks.database)
    with pytest.raises(ExceptionGroup) as caught:
        replace(light_tasks, publish=crash).sweep()  # type: ignore[arg-type]
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert jobs.get(light_tasks.database, job.id).status is Status.QUEUED


def test_the_light_worker_imports_no_torch() -> None:
    heavy = "{'torch', 'funasr', 'numpy', 'worker.engine.engine'}"
    code = f"import sys, worker.light.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_beat_and_two_light_workers_recover_jobs(settings: Settings, light_tasks: LightTasks, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"sweep_seconds": 0.5})
    lost = [with_expired_lease(light_tasks.database) for _ in range(3)]
    beat = ["celery", "-A", "common.queue", "beat", "--schedule", str(tmp_path / "schedule")]
    children = [start("beat", settings, tmp_path, *beat)]
    children += [start(name, settings, tmp_path, "worker.light") for name in ("light-1", "light-2")]

    def recovered() -> bool:
        return all(jobs.get(light_tasks.database, job.id).status is Status.QUEUED for job in lost)

    def ready() -> bool:  # one that is asked to stop while it starts does not end in order
        return all(" ready." in child.log.read_text() for child in children[1:])

    try:
        wait_until(ready, children, 60, "the light workers did not start")
        wait_until(recovered, children, 60, "the leases were not taken back")
        for job in lost:
            assert len(jobs.attempts(light_tasks.database, job.id)) == 1
        began = time.monotonic()
        another = with_expired_lease(light_tasks.database)
        lost.append(another)
        wait_until(recovered, children, 30, "the sweep did not come again")
        print(f"an expired lease was taken back after {time.monotonic() - began:.1f} s, the sweep runs every 0.5 s")
    finally:
        stop_all(children, 20)
    assert [child.process.returncode for child in children[1:]] == [0, 0]
    assert not processes_of({child.process.pid for child in children})
