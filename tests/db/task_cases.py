"""A worker's transcriber as a function, with the real database, storage, decoder and engine. For the tests of tasks."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from common import audio_keys, ids, jobs
from common.db import Database
from common.jobs import Holder, Job, Submission, Worker
from common.settings import Settings
from common.storage import Storage, make_storage
from common.transcript.values import Sentence
from worker.engine.engine import Engine
from worker.transcription.attempt import Attempts
from worker.transcription.fetching.fetcher import Fetcher
from worker.transcription.lease import LeaseKeeper
from worker.transcription.link_downloads import LinkDownloads
from worker.transcription.retry import RetryPolicy
from worker.transcription.tasks import Transcriber

PART_SECONDS = 15.0
# Cancellations, shutdowns and progress reach the database within a renewal, long before a fast engine ends.
RENEW_SECONDS = 0.1
FAST: dict[str, Any] = {
    "lease_seconds": 3.0,
    "part_seconds": PART_SECONDS,
    "retry_base_seconds": 0.5,
}


@dataclass
class Bench:
    """One worker's transcriber with its dependencies."""

    settings: Settings
    database: Database
    storage: Storage
    transcriber: Transcriber
    downloads: LinkDownloads

    def upload(self, path: Path, **options: Any) -> Job:
        """A queued job whose audio is in storage."""
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

    def link(self, url: str, **options: Any) -> Job:
        """A queued job for a link."""
        return jobs.submit(self.database, Submission(ids.new_id(), "demo-zh", "http", url=url, **options))

    def run(self, job: Job) -> str:
        """What a worker does: it downloads the link, if there is one, and takes the job into a slot."""
        if self.now(job).source.audio_key is None:
            attempts = self.transcriber.attempts
            holder = Holder(attempts.worker, attempts.model, attempts.lease_seconds)
            claims = jobs.claim_links(
                self.database, holder, 1, downloading=Counter(), limits=jobs.DownloadLimits(1, 100, 1)
            )
            outcomes = [self.downloads.run(claim) for claim in claims]
            if outcomes != ["fetched"]:
                return outcomes[0] if outcomes else "not_available"
        return self.transcriber.run(job.public_id)

    def now(self, job: Job) -> Job:
        """The current job."""
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
        counts = self.execute("SELECT count(*) FROM parts WHERE job_id = %(id)s", id=job.id)
        return int(counts[0][0])

    def other(self, **changes: Any) -> Bench:
        """Another worker at the same job, with other settings; its leases are not renewed until `start`."""
        return bench_with(self.settings.model_copy(update=changes), self.database, self.transcriber.engine)


def bench_with(
    settings: Settings, database: Database, engine: Engine, *, wake_dispatcher: Callable[[], None] = lambda: None
) -> Bench:
    storage = make_storage(settings)
    worker = Worker(f"w-{uuid.uuid4().hex[:6]}", engine.bundle, engine.revision, engine.precision, "cpu", 4)
    leases = LeaseKeeper(database, worker, lease_seconds=settings.lease_seconds, renew_seconds=RENEW_SECONDS)
    attempts = Attempts(database, RetryPolicy.of(settings), leases, settings.lease_seconds, worker.id, worker.model)
    fetcher = Fetcher(settings, database, storage)
    transcriber = Transcriber(
        settings=settings,
        database=database,
        engine=engine,
        fetcher=fetcher,
        leases=leases,
        attempts=attempts,
        wake_dispatcher=wake_dispatcher,
        wake_light=lambda: None,
    )
    downloads = LinkDownloads(database, fetcher, leases, attempts, slots=2, wake_dispatcher=wake_dispatcher)
    return Bench(settings, database, storage, transcriber, downloads)


def in_background(bench: Bench, job: Job) -> tuple[threading.Thread, list[str]]:
    outcomes: list[str] = []
    thread = threading.Thread(target=lambda: outcomes.append(bench.run(job)))
    thread.start()
    return thread, outcomes
