"""What the sweep takes back and clears away."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from common import audio_keys, ids, jobs
from common.db import Database
from common.errors import Expired, StorageUnavailable
from common.job_states import Status
from common.jobs import Job
from common.jobs.lifecycle import retention
from common.storage import LocalStorage
from common.time_limit import TimeLimit
from tests.db.job_cases import (
    NO_LIMIT,
    at_once,
    canceled,
    claimed,
    complete,
    completed,
    execute,
    fail,
    failed,
    one,
    part,
    s3_that_is_away,
    submitted,
    uploaded,
)

HOUR = 3600.0


def ended_long_ago(database: Database) -> None:
    execute(database, "UPDATE jobs SET finished_at = finished_at - interval '2 hours'")


def keys(storage: LocalStorage) -> list[str]:
    return [key for key, _ in storage.keys("")]


def write(storage: LocalStorage, key: str, *, age_hours: float = 0) -> str:
    writer = storage.writer(key)
    writer.write(b"audio")
    writer.commit()
    changed = time.time() - age_hours * HOUR
    os.utime(storage.root / key, (changed, changed))
    return key


@pytest.mark.parametrize("make", [completed, failed, canceled])
def test_audio_expires_some_time_after_the_end(database: Database, storage: LocalStorage, make: object) -> None:
    job = make(database, uploaded(database, storage))  # type: ignore[operator]
    assert jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=HOUR) == 0
    assert keys(storage) == [job.source.audio_key]
    ended_long_ago(database)
    assert jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=HOUR) == 1
    assert keys(storage) == []
    assert jobs.get(database, job.id).source.audio_key is None
    assert one(database, "SELECT audio_deleted_at <= now() FROM jobs")
    assert jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=HOUR) == 0


def test_audio_of_a_job_that_still_runs_never_expires(database: Database, storage: LocalStorage) -> None:
    queued, processing = uploaded(database, storage), uploaded(database, storage)
    claimed(database, processing)
    execute(database, "UPDATE jobs SET created_at = now() - interval '1 year'")
    assert jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=0.001) == 0
    assert sorted(keys(storage)) == sorted([str(queued.source.audio_key), str(processing.source.audio_key)])


def test_a_retry_in_the_middle_of_the_expiry_keeps_its_audio(database: Database, tmp_path: Path) -> None:
    class Slow(LocalStorage):
        """While the first audio is deleted, the client retries the other job."""

        retried: Job | None = None

        def delete(self, key: str) -> None:
            super().delete(key)
            if self.retried is None:
                [other] = [job for job in both if not key.startswith(audio_keys.prefix(job.id))]
                self.retried = jobs.retry(database, other.id)

    storage = Slow(tmp_path / "storage")
    both = [failed(database, uploaded(database, storage)) for _ in range(2)]
    ended_long_ago(database)
    assert jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=HOUR) == 1
    assert storage.retried is not None
    assert keys(storage) == [storage.retried.source.audio_key]
    assert claimed(database, storage.retried).job.source.audio_key is not None


def test_audio_that_could_not_be_deleted_is_an_orphan(database: Database, storage: LocalStorage) -> None:
    job = failed(database, uploaded(database, storage))
    ended_long_ago(database)

    class Failing(LocalStorage):
        """It can be read, but nothing be deleted."""

        def delete(self, key: str) -> None:
            raise StorageUnavailable(f"{key} cannot be deleted now")

    assert jobs.expire_audio(database, Failing(storage.root), NO_LIMIT, after_seconds=HOUR) == 0
    [key] = keys(storage)
    write(storage, key, age_hours=25)
    assert jobs.delete_orphans(database, storage, NO_LIMIT).deleted == 1
    assert keys(storage) == []
    assert jobs.get(database, job.id).status is Status.FAILED


def test_results_expire_and_the_job_stays(database: Database) -> None:
    old, young = completed(database), completed(database)
    execute(database, "UPDATE jobs SET finished_at = finished_at - interval '2 hours' WHERE id = :id", id=old.id)
    running = claimed(database)
    jobs.commit_part(database, running, part(0, "一。"), first_sentence=0)
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=HOUR) == 1
    job = jobs.get(database, old.id)
    assert job.status is Status.COMPLETED
    for partial in (False, True):
        with pytest.raises(Expired):
            jobs.readable(job, partial=partial)
    assert one(database, "SELECT count(*) FROM sentences WHERE job_id = :id", id=old.id) == 0
    assert one(database, "SELECT count(*) FROM parts WHERE job_id = :id", id=old.id) == 0
    assert len(jobs.attempts(database, old.id)) == 1
    for kept in (young.id, running.job.id):
        assert len(list(jobs.sentences(database, jobs.get(database, kept)))) == 1
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=HOUR) == 0


def test_a_link_that_is_retried_meanwhile_keeps_its_new_audio(database: Database, tmp_path: Path) -> None:
    class Fetched(LocalStorage):
        """A worker has fetched the link again when the old audio is deleted."""

        def delete(self, key: str) -> None:
            if not self.new:
                jobs.retry(database, job.id)
                self.new = write(self, f"{audio_keys.prefix(job.id)}new")
            super().delete(key)

        new = ""

    storage = Fetched(tmp_path / "storage")
    job = failed(database, uploaded(database, storage))
    execute(database, "UPDATE jobs SET source_kind = 'https', source_url = 'https://example.com/a.mp3'")
    ended_long_ago(database)
    assert jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=HOUR) == 1
    assert keys(storage) == [storage.new]


def test_a_storage_that_is_away_ends_the_step(database: Database, storage: LocalStorage) -> None:
    for _ in range(8):
        failed(database, uploaded(database, storage))
    ended_long_ago(database)
    with pytest.raises(StorageUnavailable):
        jobs.expire_audio(database, s3_that_is_away(), NO_LIMIT, after_seconds=HOUR)
    assert one(database, "SELECT count(*) FROM jobs WHERE audio_key IS NULL") == 0


def test_a_job_that_cannot_be_cleaned_holds_up_no_other(database: Database) -> None:
    made = [completed(database) for _ in range(5)]
    ended_long_ago(database)
    stubborn = made[0].id
    execute(
        database,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(60); RETURN OLD; END $$",
    )
    execute(
        database,
        "CREATE TRIGGER refuse BEFORE DELETE ON sentences FOR EACH ROW"
        f" WHEN (OLD.job_id = '{stubborn}') EXECUTE FUNCTION refuse()",
    )
    try:
        short = Database(f"{database.url}?options=-cstatement_timeout%3D300", 1)
        assert jobs.expire_results(short, NO_LIMIT, after_seconds=HOUR) == 4
        short.close()
    finally:
        execute(database, "DROP TRIGGER refuse ON sentences")
        execute(database, "DROP FUNCTION refuse")
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=HOUR) == 1


def test_more_than_a_page_expires_in_one_go(database: Database) -> None:
    for _ in range(3):
        completed(database)
    execute(database, "UPDATE jobs SET audio_key = NULL")
    execute(
        database,
        "INSERT INTO jobs (id, model, channels, source_kind, status, finished_at)"
        " SELECT gen_random_uuid(), 'demo-zh', 'mix', 'upload', 'canceled', now() FROM generate_series(1, 450)",
    )
    ended_long_ago(database)
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=HOUR) == 453
    assert jobs.expire_jobs(database, TimeLimit(0), after_seconds=HOUR) == 0
    assert jobs.expire_jobs(database, NO_LIMIT, after_seconds=HOUR) == 453
    for table in ("jobs", "attempts", "sentences", "parts"):
        assert one(database, f"SELECT count(*) FROM {table}") == 0
    assert one(database, "SELECT count(*) FROM usage") == 3


def test_the_signature_of_a_failed_jobs_link_goes_with_the_results(database: Database) -> None:
    job = submitted(database, url="https://bucket.example/a.mp3?X-Amz-Signature=secret")
    fail(database, claimed(database, job))
    ended_long_ago(database)
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=HOUR) == 1
    assert jobs.get(database, job.id).source.url == "https://bucket.example/a.mp3?"


def test_jobs_go_after_their_audio_and_transcript_only(database: Database, storage: LocalStorage) -> None:
    completed(database, uploaded(database, storage))
    ended_long_ago(database)
    assert jobs.expire_jobs(database, NO_LIMIT, after_seconds=HOUR) == 0
    jobs.expire_results(database, NO_LIMIT, after_seconds=HOUR)
    assert jobs.expire_jobs(database, NO_LIMIT, after_seconds=HOUR) == 0
    jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=HOUR)
    assert jobs.expire_jobs(database, NO_LIMIT, after_seconds=HOUR) == 1


def test_batches_without_jobs_and_old_usage_expire(database: Database) -> None:
    kept = ids.new_id()
    for batch_id in (ids.new_id(), kept):
        execute(
            database,
            "INSERT INTO batches (id, created_at, tenant, total, refused)"
            " VALUES (:id, now() - interval '2 hours', 'default', 1, '[]')",
            id=batch_id,
        )
    job = completed(database)
    execute(database, "UPDATE jobs SET batch_id = :id", id=kept)
    assert jobs.expire_batches(database, NO_LIMIT, after_seconds=HOUR) == 1
    assert one(database, "SELECT id FROM batches") == kept
    assert jobs.expire_usage(database, NO_LIMIT, after_seconds=HOUR) == 0
    execute(database, "UPDATE usage SET ended_at = now() - interval '2 hours'")
    assert jobs.expire_usage(database, NO_LIMIT, after_seconds=HOUR) == 1
    assert jobs.get(database, job.id).status is Status.COMPLETED


def test_a_search_for_orphans_goes_on_where_it_ended(
    database: Database, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "KEYS_AT_A_TIME", 2)
    for _ in range(5):
        write(storage, f"{audio_keys.prefix(ids.new_id())}upload", age_hours=25)
    deleted = jobs.delete_orphans(database, storage, TimeLimit(0))
    assert (deleted.deleted, len(keys(storage))) == (2, 3)
    assert deleted.reached
    deleted = jobs.delete_orphans(database, storage, NO_LIMIT, after=deleted.reached)
    assert (deleted.deleted, deleted.reached, keys(storage)) == (3, "", [])


def test_results_expire_in_two_processes_at_once(database: Database) -> None:
    for _ in range(20):
        complete(database, claimed(database))
    ended_long_ago(database)
    assert sum(at_once([lambda: jobs.expire_results(database, NO_LIMIT, after_seconds=HOUR)] * 4)) == 20


def test_orphans_are_deleted_when_they_are_old(database: Database, storage: LocalStorage) -> None:
    prefix = audio_keys.prefix(ids.new_id())
    young = write(storage, f"{prefix}upload", age_hours=23)
    write(storage, f"{audio_keys.prefix(ids.new_id())}upload", age_hours=25)
    job = uploaded(database, storage)
    named = write(storage, str(job.source.audio_key), age_hours=25)
    write(storage, f"{audio_keys.prefix(job.id)}copy-of-a-lost-attempt", age_hours=25)
    assert jobs.delete_orphans(database, storage, NO_LIMIT).deleted == 2
    assert sorted(keys(storage)) == sorted([young, named])


def test_what_others_put_beside_our_audio_neither_stops_the_sweep_nor_goes(
    database: Database, storage: LocalStorage
) -> None:
    foreign = [
        write(storage, key, age_hours=100)
        for key in ("audio/README", "audio/zz/file", f"audio/{'-'.join(['0'] * 4)}/x", "backup/audio")
    ]
    write(storage, f"{audio_keys.prefix(ids.new_id())}upload", age_hours=25)
    assert jobs.delete_orphans(database, storage, NO_LIMIT).deleted == 1
    assert sorted(keys(storage)) == sorted(foreign)


def test_uploads_that_killed_processes_left_are_deleted_when_they_are_old(
    database: Database, storage: LocalStorage
) -> None:
    for age_hours in (25, 1):
        storage.writer("audio/x/upload").write(b"half")
        newest = max((storage.root / ".incoming").iterdir(), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (time.time() - age_hours * HOUR,) * 2)
    assert jobs.delete_orphans(database, storage, NO_LIMIT).deleted == 1
    assert len(list((storage.root / ".incoming").iterdir())) == 1
