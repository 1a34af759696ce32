"""A real PgBouncer in transaction mode before PostgreSQL: whose transactions run in whichever session is free."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from structlog.testing import capture_logs

from api.job_notifications import JobNotifications
from common import jobs
from common.db import Database, session_of, shares_sessions
from common.job_states import Stage
from common.jobs import Worker
from common.settings import Settings
from dev.account import unprivileged
from dev.process import free_port, spawn, wait_until
from dev.stack import REPOSITORY
from tests.db.job_cases import MODEL, claimed, complete, one, part, submitted
from tests.waiting import GENEROUS_SECONDS

SESSIONS = 2
CLIENTS = 4
# psycopg prepares a statement that it runs for the fifth time.
TIMES = 6
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
ignore_startup_parameters = options
"""


@pytest.fixture
def pooled_url(settings: Settings, tmp_path: Path) -> Iterator[str]:
    """The URL of the test's database behind PgBouncer."""
    found = subprocess.run([REPOSITORY / "dev" / "pgbouncer.sh"], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip(f"there is no PgBouncer: {found.stderr.strip()[-300:]}")
    tree = Path(found.stdout.strip())
    parts = urlsplit(settings.postgres_url)
    port = free_port()
    written = CONFIGURATION.format(
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        password=parts.password,
        own_port=port,
        sessions=SESSIONS,
    )
    configuration = tmp_path / "pgbouncer.ini"
    configuration.write_text(written)
    libraries = ":".join(str(folder) for folder in sorted((tree / "usr" / "lib").glob("*-linux-gnu")))
    child = spawn(
        "PgBouncer",
        [tree / "usr" / "sbin" / "pgbouncer", configuration],
        tmp_path / "pgbouncer.log",
        env=os.environ | {"LD_LIBRARY_PATH": libraries},
        cwd=tmp_path,
        account=unprivileged(tmp_path, tree),
    )
    url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
    try:
        wait_until(lambda: _answers(url), [child], GENEROUS_SECONDS, "PgBouncer did not answer")
        yield url
    finally:
        child.stop(seconds=5)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def test_jobs_live_their_lives_in_shared_sessions(pooled_url: str, settings: Settings) -> None:
    assert (shares_sessions(pooled_url), shares_sessions(settings.postgres_url)) == (True, False)
    database = Database(pooled_url, CLIENTS)

    def live(worker: str) -> None:
        me = Worker(worker, MODEL, "r1", "fp32", "cpu", 2)
        for _ in range(TIMES):
            held = claimed(database, submitted(database), worker=worker)
            progress = [jobs.Progress(held.token, Stage.TRANSCRIBING, 1, None)]
            assert jobs.renew(database, me, progress, lease_seconds=60, draining=False).held == {held.token: False}
            jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
            jobs.dispatch(database, lambda _id, _model: None, redispatch_seconds=60)
            complete(database, held)

    with ThreadPoolExecutor(CLIENTS) as clients:
        for done in [clients.submit(live, f"worker-{number}") for number in range(CLIENTS)]:
            done.result()
    assert one(database, "SELECT count(*) FROM jobs WHERE status = 'completed'") == CLIENTS * TIMES
    database.close()


def test_statements_are_prepared_only_in_a_session_of_ones_own(pooled_url: str, settings: Settings) -> None:
    for url, own in ((pooled_url, False), (settings.postgres_url, True)):
        database = Database(url, 1)
        raw = database.engine.raw_connection()
        connection = raw.driver_connection
        assert isinstance(connection, psycopg.Connection)
        assert (session_of(connection) == connection.info.backend_pid) is own
        assert (connection.prepare_threshold is not None) is own
        raw.close()
        database.close()


def test_notifications_come_by_the_direct_connection(pooled_url: str, settings: Settings) -> None:
    database = Database(pooled_url, 2)
    held = claimed(database)

    async def woken(conninfo: str) -> None:
        notifications = JobNotifications(conninfo)
        notifications.start()
        try:
            with notifications.of(held.job.id) as changed:
                await asyncio.wait_for(changed.wait(), GENEROUS_SECONDS)  # it listens
                changed.clear()
                await asyncio.to_thread(jobs.commit_part, database, held, part(0, "一。"), first_sentence=0)
                await asyncio.wait_for(changed.wait(), GENEROUS_SECONDS)
        finally:
            await notifications.stop()

    asyncio.run(woken(settings.direct_url))
    database.close()


def test_listening_through_the_pooler_is_said(pooled_url: str) -> None:
    async def listen() -> None:
        notifications = JobNotifications(pooled_url)
        notifications.start()
        with notifications.of(uuid.uuid4()) as changed:
            await asyncio.wait_for(changed.wait(), GENEROUS_SECONDS)
        await notifications.stop()

    with capture_logs() as logs:
        asyncio.run(listen())
    assert [entry["hint"] for entry in logs if entry["event"] == "notifications_lost"] == [
        "set PARAQUEUE_DATABASE_DIRECT_URL"
    ]
