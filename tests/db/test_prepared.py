"""Single statements past SQLAlchemy: what comes of their values, and of a server that fails them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Interval, bindparam, delete, insert, literal, select, text
from sqlalchemy.exc import IntegrityError

from common import ids, jobs
from common.db import Database, Prepared, connections
from common.db import database as db
from common.errors import QuotaExceeded, Unavailable
from common.job_states import Status
from common.jobs.accounting import quota as quotas
from common.jobs.accounting.quota import CLOSE, Allowance, Quota
from common.jobs.lifecycle import submit as submitting
from common.models import JobRow, WorkerRow
from common.settings import Settings
from tests.db.job_cases import MODEL, database_of, execute, rows, submission
from tests.db.test_database import proxied
from tests.waiting import until

ONE = Prepared(select(literal(1)))
PID = Prepared(text("SELECT pg_backend_pid()"))
STATE = Prepared(text("SELECT current_setting('transaction_isolation'), pg_current_xact_id_if_assigned()::text"))
KEY = uuid.UUID(int=7)
CALLERS = 8


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = database_of(settings, 1)
    yield database
    database.close()


def test_its_connection_serves_transactions_afterwards(database: Database) -> None:
    [[pid]] = database.run(PID, {})
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), database.transaction() as session:
            assert session.scalar(text("SELECT pg_backend_pid()")) == pid
            session.execute(
                insert(WorkerRow).values(id="w", model=MODEL, revision="r", precision="p", device="c", slots=1)
            )
            raise ZeroDivisionError
        assert database.run(Prepared(select(WorkerRow.id)), {}) == []
        assert database.run(PID, {}) == [(pid,)]


def test_a_statement_that_fails_raises_what_a_session_would(database: Database) -> None:
    job = jobs.submit(database, submission())
    with pytest.raises(IntegrityError, match="jobs_pkey"):
        jobs.submit(database, submission(id=job.id))
    assert jobs.get(database, job.id) == job


def test_a_connection_that_the_server_ended_a_moment_ago_is_replaced(database: Database) -> None:
    [[pid]] = database.run(PID, {})
    other = Database(database.url, 1)
    execute(other, "SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
    other.close()
    [[now]] = database.run(PID, {})
    assert now != pid


def test_a_connection_that_was_idle_for_long_is_tested(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    ping = database.engine.dialect.do_ping

    def noted(connection: Any) -> bool:
        told.append(connection)
        return ping(connection)

    monkeypatch.setattr(database.engine.dialect, "do_ping", noted)
    database.run(ONE, {})
    database.run(ONE, {})
    assert told == []
    monkeypatch.setattr(db, "TRUSTED_SECONDS", 0.0)
    database.run(ONE, {})
    assert len(told) == 1


def test_a_server_that_hangs_is_given_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.BoundedConnection, "answer_timeout_seconds", 0.5)
    with proxied(settings.postgres_url) as (proxy, url):
        database = Database(url, 1)
        assert database.run(ONE, {}) == [(1,)]
        proxy.flowing.clear()
        with pytest.raises(Unavailable):
            database.run(ONE, {})
        proxy.flowing.set()
        assert database.run(ONE, {}) == [(1,)]
        database.close()


def test_a_server_that_takes_no_writes_is_left(database: Database) -> None:
    execute(database, "SET default_transaction_read_only = on")
    [[before]] = database.run(PID, {})
    with pytest.raises(Unavailable, match="takes no writes"):
        database.run(Prepared(delete(WorkerRow).returning(WorkerRow.id)), {})
    [[after]] = database.run(PID, {})
    assert after != before
    assert database.run(Prepared(delete(WorkerRow).returning(WorkerRow.id)), {}) == []


def test_what_needs_more_than_the_driver_is_refused() -> None:
    with pytest.raises(ValueError, match="use arrays"):
        Prepared(select(JobRow.id).where(JobRow.status.in_(bindparam("states", expanding=True))))
    with pytest.raises(ValueError, match="converted"):
        Prepared(select(literal(timedelta(0), Interval(native=False)).label("pause")))


def queued(database: Database) -> int:
    return len(rows(database, f"SELECT FROM jobs WHERE status = '{Status.QUEUED}'"))


@pytest.mark.parametrize("owner", ["tenant", "key"])
def test_a_queue_is_filled_to_its_limit_and_no_further(database: Database, owner: str) -> None:
    """Far from the limit by one statement, and close to it under a lock."""
    limit = CLOSE + 3
    quota = Quota(**{owner: Allowance(max_queued=limit, audio_minutes_per_day=10, audio_minutes_per_month=10)})
    for _ in range(limit):
        jobs.submit(database, submission(key_id=KEY, quota=quota))
    with pytest.raises(QuotaExceeded, match=f"{owner} has {limit} jobs in the queue"):
        jobs.submit(database, submission(key_id=KEY, quota=quota))
    assert queued(database) == limit
    jobs.submit(database, submission(key_id=ids.new_id(), tenant="other", quota=quota))


@pytest.mark.parametrize("owner", ["tenant", "key"])
@pytest.mark.parametrize("span", ["day", "month"])
def test_used_up_minutes_end_submissions(database: Database, owner: str, span: str) -> None:
    quota = Quota(**{owner: Allowance(**{f"audio_minutes_per_{span}": 1})})
    used = (
        "INSERT INTO usage_daily (key_id, tenant, day, audio_ms) VALUES (:key, 'default', timezone('UTC', now()), :ms)"
    )
    execute(database, used, key=KEY, ms=59_999)
    jobs.submit(database, submission(key_id=KEY, quota=quota))
    execute(database, "UPDATE usage_daily SET audio_ms = 60_000")
    with pytest.raises(QuotaExceeded, match=f"the {owner} has used its 1 minutes of audio for this {span}"):
        jobs.submit(database, submission(key_id=KEY, quota=quota))
    assert queued(database) == 1


@pytest.mark.parametrize("owner", ["tenant", "key"])
def test_submissions_at_the_same_moment_do_not_exceed_a_quota(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """Some by one statement, far from the limit; some under a lock, as retries are, which count as submissions."""
    monkeypatch.setattr(quotas, "CLOSE", CALLERS)
    monkeypatch.setattr(submitting, "_within", submitting._within.__wrapped__)
    database = database_of(settings, CALLERS)
    limit = 2 * CALLERS
    quota = Quota(**{owner: Allowance(max_queued=limit)})
    canceled = [jobs.submit(database, submission(key_id=KEY)).id for _ in range(CALLERS)]
    for job_id in canceled:
        jobs.cancel(database, job_id)
    start = threading.Barrier(CALLERS)

    def call(number: int) -> int:
        start.wait(120)
        done = 0
        for turn in range(4):
            with suppress(QuotaExceeded):
                if turn == 1:
                    with database.transaction() as session:
                        jobs.retry_in(session, canceled[number], key_id=KEY, quota=quota)
                else:
                    jobs.submit(database, submission(key_id=KEY, quota=quota))
                done += 1
        return done

    with ThreadPoolExecutor(CALLERS) as callers:
        accepted = sum(callers.map(call, range(CALLERS)))
    assert accepted == queued(database) == limit
    database.close()


@contextmanager
def server_of(database: Database, pid: int) -> Iterator[Callable[[], None]]:
    """Give a function that ends the session with this id, as a fail-over does."""
    other = Database(database.url, 1)
    yield lambda: execute(other, "SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
    other.close()


def test_a_session_that_ends_amid_a_statement_is_unavailable_and_replaced(database: Database) -> None:
    [[pid]] = database.run(PID, {})
    with server_of(database, pid) as end, ThreadPoolExecutor(1) as caller:
        lost = caller.submit(database.run, Prepared(text("SELECT pg_sleep(60)::text")), {})
        active = "SELECT FROM pg_stat_activity WHERE pid = :pid AND wait_event = 'PgSleep'"
        other = Database(database.url, 1)
        until(lambda: rows(other, active, pid=pid))
        other.close()
        end()
        with pytest.raises(Unavailable):
            lost.result()
    assert database.run(ONE, {}) == [(1,)]


def test_a_session_that_ends_before_the_commit_stores_nothing(database: Database) -> None:
    [[pid]] = database.run(PID, {})
    with server_of(database, pid) as end:
        with pytest.raises(Unavailable), database.transaction() as session:
            jobs.submit_in(session, submission())
            end()
        assert queued(database) == 0
        jobs.submit(database, submission())
        assert queued(database) == 1


def test_a_new_connection_that_fails_at_once_is_unavailable(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a server still accepts connections while it shuts down: not an error of ours."""
    monkeypatch.setattr(db, "TRUSTED_SECONDS", 0.0)
    connect = database._connect

    def ended() -> psycopg.Connection[Any]:
        connection = connect()
        with psycopg.connect(database.url) as operator:
            operator.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(database.engine.pool, "_invoke_creator", lambda _: ended())
        for call in (lambda: database.run(ONE, {}), lambda: jobs.page(database, name="a")):
            with pytest.raises(Unavailable):
                call()
    assert database.run(ONE, {}) == [(1,)]


@pytest.mark.parametrize("parameter", ["lock_timeout", "statement_timeout"])
def test_a_statement_that_takes_too_long_is_unavailable(settings: Settings, parameter: str) -> None:
    separator = "&" if "?" in settings.postgres_url else "?"
    impatient = Database(f"{settings.postgres_url}{separator}options=-c%20{parameter}%3D50", 1)
    holder = Database(settings.postgres_url, 1)
    with holder.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(4713)"))
        with pytest.raises(Unavailable):
            impatient.run(Prepared(text("SELECT pg_advisory_xact_lock(4713)::text")), {})
        assert impatient.run(ONE, {}) == [(1,)]
    impatient.close()
    holder.close()
