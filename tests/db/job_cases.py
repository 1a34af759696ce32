"""Jobs in each of their states, made the way the service makes them. For the tests of `common.jobs` and of the API."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import NullPool, create_engine, text

from common import audio_keys, ids, jobs
from common.db import Database
from common.job_states import Status
from common.jobs import Claim, Finished, Holder, Job, Submission, Worker
from common.jobs.lifecycle.claims import claim_in
from common.jobs.lifecycle.links import CLAIM_TO_FETCH
from common.models import Row
from common.options.model_cards import ModelCard
from common.settings import Settings
from common.storage import LocalStorage, S3Storage, Storage, s3_client
from common.tenants import LIMITS
from common.time_limit import TimeLimit
from common.transcript.values import Part, Sentence, Word
from dev.postgres import Postgres
from tests.servers import fresh_database

MODEL = "demo-zh"
WORKER = "worker-1"
LONG = 600.0
# Marks the queries of tests, so that the tests of plans do not take them for the code's.
BY_A_TEST = "/* by a test */"
NO_LIMIT = TimeLimit(1e9)
T = TypeVar("T")


@contextmanager
def pool_on(postgres: Postgres) -> Iterator[Database]:
    """A pool on a database that the tests of one module share; see `emptied`."""
    with fresh_database(postgres) as url:
        database = Database(url.replace("postgresql://", "postgresql+psycopg://", 1), 20)
        try:
            yield database
        finally:
            database.close()


def emptied(database: Database) -> Database:
    """The database without rows, but for the tenants: far cheaper than a database for each test."""
    with database.transaction() as session:
        for table in reversed(Row.metadata.sorted_tables):
            if table.name != "tenants":
                session.execute(table.delete())
        limits = ", ".join(f"{name} = NULL" for name in LIMITS)
        session.execute(text(f"UPDATE tenants SET served_at = NULL, sharing = true, {limits}"))
    return database


def database_of(settings: Settings, pool_size: int = 10) -> Database:
    """A pool on the test's own database."""
    return Database(settings.sqlalchemy_url, pool_size)


def storage_of(settings: Settings) -> LocalStorage:
    """The test's own storage directory."""
    return LocalStorage(settings.storage_url.removeprefix("file:"))


def s3_that_is_away() -> S3Storage:
    """A storage whose server refuses connections."""
    client = s3_client(
        endpoint_url="http://127.0.0.1:1",
        region="us-east-1",
        access_key_id="key",
        secret_access_key="secret",
        addressing_style="path",
        checksums="when_supported",
    )
    return S3Storage(client, "bucket")


def submission(**changes: Any) -> Submission:
    """A link to submit, whose audio is in storage already unless `audio_key` is None."""
    job_id = changes.get("id") or ids.new_id()
    values: dict[str, Any] = {
        "id": job_id,
        "audio_key": f"{audio_keys.prefix(job_id)}copy",
        "model": MODEL,
        "source_kind": "https",
        "url": "https://example.com/meeting.mp3",
    }
    return Submission(**values | changes)


def submitted(database: Database, **changes: Any) -> Job:
    """A queued job with a link."""
    return jobs.submit(database, submission(**changes))


def uploaded(database: Database, storage: Storage, content: bytes = b"audio", **changes: Any) -> Job:
    """A queued job whose audio is in storage."""
    job_id = ids.new_id()
    key = f"{audio_keys.prefix(job_id)}upload"
    writer = storage.writer(key)
    writer.write(content)
    writer.commit()
    return submitted(
        database,
        id=job_id,
        source_kind="upload",
        url=None,
        audio_key=key,
        audio_bytes=len(content),
        audio_sha256=hashlib.sha256(content).hexdigest(),
        **changes,
    )


def claimed(database: Database, job: Job | None = None, *, worker: str = WORKER, lease_seconds: float = LONG) -> Claim:
    """A job that a worker holds: in a slot, or to download its link if it has no audio yet."""
    job = job or submitted(database)
    if jobs.get(database, job.id).source.audio_key is None:
        with database.transaction() as session:
            holder = Holder(worker, job.model, lease_seconds)
            held = claim_in(session, job.id, CLAIM_TO_FETCH, holder)
    else:
        held = jobs.claim(database, job.id, worker=worker, model=job.model, lease_seconds=lease_seconds)
    assert held is not None
    return held


def sentence(content: str, start_ms: int, **changes: Any) -> Sentence:
    """A sentence with a word of 100 ms for each character that is not punctuation."""
    spoken = [character for character in content if character.isalnum()]
    words = tuple(Word(w, start_ms + 100 * i, start_ms + 100 * (i + 1), 0.9) for i, w in enumerate(spoken))
    values: dict[str, Any] = {"confidence": 0.9, "words": words, "channel": 0}
    return Sentence(content, start_ms, start_ms + 100 * len(spoken), **values | changes)


def part(number: int, *texts: str, state: bytes = b"resume", last: bool = False) -> Part:
    """Part `number` (counted from 0) of audio that has 10 s a part."""
    start_ms = 10_000 * number
    sentences = tuple(sentence(content, start_ms + 1000 * i) for i, content in enumerate(texts))
    return Part(number, start_ms, start_ms + 10_000, sentences, b"" if last else state, last)


FINISHED = Finished(MODEL, "r1", "fp32", channels=1, audio_ms=10_000, processing_ms=500, no_speech=False)


def complete(database: Database, held: Claim, *texts: str) -> None:
    """End a claimed job well, with one part."""
    jobs.complete(
        database,
        held,
        part(0, *(texts or ("你好，世界。",)), last=True),
        FINISHED,
        first_sentence=0,
        stage_ms={"transcribing": 500},
    )


def completed(database: Database, job: Job | None = None, *texts: str) -> Job:
    """A completed job."""
    held = claimed(database, job)
    complete(database, held, *texts)
    return jobs.get(database, held.job.id)


def fail(database: Database, held: Claim) -> None:
    """End a claimed job with an error that is its own fault."""
    jobs.fail(database, held, code="audio_empty", message="no samples", retryable=False, stage_ms={})


def failed(database: Database, job: Job | None = None) -> Job:
    """A failed job."""
    held = claimed(database, job)
    fail(database, held)
    return jobs.get(database, held.job.id)


def canceled(database: Database, job: Job | None = None) -> Job:
    """A canceled job that no worker ever had."""
    return jobs.cancel(database, (job or submitted(database)).id)


def with_worker(
    database: Database, slots: int = 2, *, model: str = MODEL, worker: str = WORKER, languages: tuple[str, ...] = ()
) -> None:
    """A live worker."""
    card = ModelCard(languages=languages)
    jobs.register_worker(database, Worker(worker, model, "r1", "fp32", "cpu", slots, card=card))


def expire_lease(database: Database, job_id: uuid.UUID) -> None:
    """As if the worker had been silent for longer than its lease."""
    execute(database, "UPDATE jobs SET lease_expires_at = now() - interval '1 second' WHERE id = :id", id=job_id)


def lose(database: Database, held: Claim) -> Status:
    """As if the worker had died; what became of the job."""
    expire_lease(database, held.job.id)
    [lost] = [lost for lost in jobs.rescue_expired(database) if lost.job_id == held.job.id]
    return lost.status


def suspect(database: Database, job: Job | None = None) -> Job:
    """A queued job that has lost two workers in company."""
    job = job or submitted(database)
    for _ in range(2):
        lose(database, claimed(database, job))
    return jobs.get(database, job.id)


def poisoned(database: Database, job: Job | None = None) -> Job:
    """A job that failed because it lost two workers while it ran alone."""
    job = suspect(database, job)
    for number in range(2):
        lose(database, claimed(database, job, worker=f"victim-{number}"))
    return jobs.get(database, job.id)


def execute(database: Database, statement: str, **values: Any) -> None:
    """One statement, committed."""
    with database.transaction() as session:
        session.execute(text(f"{BY_A_TEST} {statement}"), values)


def write_many(database: Database, statement: str, **values: Any) -> None:
    """A statement that writes many rows, without the time limits of the service's connections: machines are busy."""
    engine = create_engine(database.url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"{BY_A_TEST} {statement}"), values)


def rows(database: Database, statement: str, **values: Any) -> list[Any]:
    """What a query answers."""
    with database.transaction() as session:
        return list(session.execute(text(f"{BY_A_TEST} {statement}"), values).all())


def one(database: Database, statement: str, **values: Any) -> Any:
    """The one value that a query answers."""
    with database.transaction() as session:
        return session.execute(text(f"{BY_A_TEST} {statement}"), values).scalar_one()


def snapshot(database: Database, job_id: uuid.UUID) -> list[Any]:
    """Everything that is stored of a job, for saying that nothing changed."""
    tables = ("jobs", "attempts", "parts", "sentences")
    column = {"jobs": "id"}
    query = "SELECT to_jsonb(t) FROM {} t WHERE {} = :id ORDER BY 1"
    return [rows(database, query.format(table, column.get(table, "job_id")), id=job_id) for table in tables]


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run the calls in threads that begin together; their results in order. An exception in one is raised."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException] = []

    def run(index: int, call: Callable[[], T]) -> None:
        barrier.wait(30)
        try:
            results[index] = call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i, call)) for i, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


# A job in each state.
MAKE: dict[Status, Callable[[Database], Job]] = {
    Status.QUEUED: submitted,
    Status.PROCESSING: lambda database: claimed(database).job,
    Status.COMPLETED: completed,
    Status.FAILED: failed,
    Status.CANCELED: canceled,
}
