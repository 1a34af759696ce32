"""Links that drip, on real servers: other tenants' jobs go on meanwhile, and the drip ends by the least rate."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common import ids, jobs
from common.db import Database
from common.errors import SourceRateTooLow
from common.job_states import Outcome, Status
from common.jobs import Job, Submission, Worker
from common.settings import Settings
from common.storage import make_storage
from dev.postgres import Postgres
from tests.db.drips import Drips
from tests.db.job_cases import emptied, execute, pool_on, rows
from tests.db.task_cases import RENEW_SECONDS
from tests.servers import HttpServer
from tests.waiting import until
from worker.transcription.attempt import Attempts
from worker.transcription.fetching.download import download
from worker.transcription.fetching.fetcher import Fetcher
from worker.transcription.fetching.http_source import HttpSource
from worker.transcription.fetching.limits import FetchLimits, RateFloor
from worker.transcription.lease import LeaseKeeper
from worker.transcription.link_downloads import STOCK_PER_DOWNLOAD, LinkDownloads
from worker.transcription.retry import RetryPolicy

SLOTS = 8


@pytest.fixture(scope="module")
def shared_database(postgres: Postgres) -> Iterator[Database]:
    with pool_on(postgres) as database:
        yield database


@pytest.fixture
def database(shared_database: Database) -> Database:
    return emptied(shared_database)


class Pool:
    """The downloads of one worker, beside its renewals."""

    def __init__(self, database: Database, place: Path, **changes: object) -> None:
        values: dict[str, object] = {
            "storage_url": f"file:{place / 'storage'}",
            "scratch_dir": place / "scratch",
            "fetch_allowed_private": "127.0.0.1",
        }
        settings = Settings(**values | changes)  # type: ignore[arg-type]
        self.worker = Worker("w", "demo-zh", "r1", "fp32", "cpu", 2)
        self.leases = LeaseKeeper(database, self.worker, lease_seconds=30, renew_seconds=RENEW_SECONDS)
        attempts = Attempts(database, RetryPolicy.of(settings), self.leases, 30, self.worker.id, self.worker.model)
        fetcher = Fetcher(settings, database, make_storage(settings))
        self.downloads = LinkDownloads(
            database, fetcher, self.leases, attempts, slots=SLOTS, wake_dispatcher=lambda: None
        )
        self.leases.start()
        self.downloads.start()

    def stop(self) -> None:
        """As a worker stops."""
        self.leases.shut_down()
        self.downloads.stop()
        self.leases.end()


def link(database: Database, tenant: str, url: str) -> Job:
    return jobs.submit(database, Submission(ids.new_id(), "demo-zh", "http", url=url, tenant=tenant))


def test_links_that_drip_leave_room_for_another_tenant(
    database: Database, tmp_path: Path, http_server: HttpServer, drips: Drips
) -> None:
    (http_server.directory / "a.mp3").write_bytes(b"audio")
    slow = [link(database, "drips", http_server.url("drip")) for _ in range(2 * SLOTS)]
    pool = Pool(database, tmp_path)
    try:
        for _ in range(SLOTS // 2):
            assert drips.listening.acquire(timeout=60)
        good = [link(database, "other", http_server.url("a.mp3")) for _ in range(3)]
        until(lambda: all(jobs.get(database, job.id).source.audio_key for job in good))
        assert {jobs.get(database, job.id).status for job in good} == {Status.QUEUED}
        states = [jobs.get(database, job.id).status for job in slow]
        assert states.count(Status.PROCESSING) == SLOTS // 2
        assert pool.leases.running() == 0
        assert pool.leases.running(downloads=True) == SLOTS // 2
    finally:
        pool.stop()
    # A worker that stops gives its downloads back.
    assert {jobs.get(database, job.id).status for job in slow} == {Status.QUEUED}
    outcomes = {item.outcome for job in slow for item in jobs.attempts(database, job.id)}
    assert outcomes == {Outcome.RELEASED}
    assert not list((tmp_path / "scratch").iterdir())


def test_a_tenant_with_enough_waiting_jobs_downloads_one_link_at_a_time(
    database: Database, tmp_path: Path, http_server: HttpServer, drips: Drips
) -> None:
    (http_server.directory / "a.mp3").write_bytes(b"audio")
    for _ in range(STOCK_PER_DOWNLOAD * SLOTS):
        upload = Submission(ids.new_id(), "demo-zh", "upload", audio_key="audio/x/upload", tenant="drips")
        jobs.submit(database, upload)
    slow = [link(database, "drips", http_server.url("drip")) for _ in range(SLOTS)]
    pool = Pool(database, tmp_path)
    try:
        assert drips.listening.acquire(timeout=60)
        for _ in range(3):  # each is claimed by a later look
            good = link(database, "other", http_server.url("a.mp3"))
            until(lambda good=good: jobs.get(database, good.id).source.audio_key)  # type: ignore[misc]
        states = [jobs.get(database, job.id).status for job in slow]
        assert states.count(Status.PROCESSING) == 1
    finally:
        pool.stop()


def test_a_link_below_the_least_rate_is_tried_again_later(
    database: Database, tmp_path: Path, http_server: HttpServer, drips: Drips
) -> None:
    pool = Pool(database, tmp_path, fetch_min_rate_seconds=0.5, retry_base_seconds=3600)
    try:
        job = link(database, "drips", http_server.url("drip"))
        assert drips.listening.acquire(timeout=60)
        until(lambda: any(item.ended_at for item in jobs.attempts(database, job.id)))
        [attempt] = jobs.attempts(database, job.id)
        assert (attempt.outcome, attempt.error_code) == (Outcome.RETRYING, "source_rate_too_low")
        assert jobs.get(database, job.id).status is Status.QUEUED
        assert rows(database, "SELECT failures, outages FROM jobs WHERE id = :id", id=job.id) == [(1, 0)]
    finally:
        pool.stop()


def test_a_cancel_ends_a_download(database: Database, tmp_path: Path, http_server: HttpServer, drips: Drips) -> None:
    pool = Pool(database, tmp_path)
    try:
        job = link(database, "drips", http_server.url("drip"))
        assert drips.listening.acquire(timeout=60)
        jobs.cancel(database, job.id)
        until(lambda: jobs.get(database, job.id).status is Status.CANCELED)
    finally:
        pool.stop()


def test_a_lost_lease_ends_a_download(
    database: Database, tmp_path: Path, http_server: HttpServer, drips: Drips
) -> None:
    pool = Pool(database, tmp_path)
    try:
        job = link(database, "drips", http_server.url("drip"))
        assert drips.listening.acquire(timeout=60)
        execute(
            database,
            "UPDATE jobs SET status = 'canceled', lease_token = NULL, lease_worker = NULL WHERE id = :id",
            id=job.id,
        )
        until(lambda: pool.leases.running(downloads=True) == 0)
        assert jobs.get(database, job.id).source.audio_key is None
    finally:
        pool.stop()


LIMITS = FetchLimits(
    max_bytes=1_000_000,
    timeout_seconds=3600,
    stall_seconds=3600,
    max_redirects=0,
    resumes=1000,
    allowed_private=("127.0.0.1",),
    min_bytes_per_second=16_384,
    min_rate_seconds=0.3,
)


@pytest.mark.parametrize("kind", ["headers", "body", "chunks", "breaks"])
def test_no_form_of_dripping_outlasts_the_least_rate(http_server: HttpServer, tmp_path: Path, kind: str) -> None:
    over = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        try:
            drip(handler, kind, over)
        except OSError:
            return

    http_server.routes["/drip"] = answer
    floor = RateFloor(LIMITS)
    source = HttpSource(http_server.url("drip"), LIMITS, floor.check)
    try:
        with pytest.raises(SourceRateTooLow):
            download(source.open, tmp_path / "x", LIMITS, lambda: None, floor)
    finally:
        over.set()
        source.close()


def drip(handler: BaseHTTPRequestHandler, kind: str, over: threading.Event) -> None:
    """Never an end, but always something: in one part of the response or the other."""
    if kind == "headers":
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        while not over.wait(0.02):
            handler.wfile.write(b"a")
    handler.send_response(200)
    handler.send_header("ETag", '"a"')
    if kind == "chunks":
        handler.send_header("Transfer-Encoding", "chunked")
    elif kind != "headers":
        handler.send_header("Content-Length", "500000")
    handler.end_headers()
    if kind == "breaks":
        handler.wfile.write(b"a")
        return
    while not over.wait(0.02):
        handler.wfile.write(b"1;" + b"e" * 100 + b"\r\na\r\n" if kind == "chunks" else b"a")


def test_a_steady_download_passes(http_server: HttpServer, tmp_path: Path) -> None:
    (http_server.directory / "a").write_bytes(bytes(500_000))
    source = HttpSource(http_server.url("a"), LIMITS, lambda: None)
    try:
        download(source.open, tmp_path / "x", LIMITS, lambda: None)
    finally:
        source.close()
    assert (tmp_path / "x").stat().st_size == 500_000
