"""Jobs whose links are downloaded: claimed apart from the slots, a share for each tenant, handed over to a slot."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from common import jobs
from common.db import Database
from common.job_states import Outcome, Stage, Status
from common.jobs import Claim, DownloadLimits, Drain, FetchedAudio, Holder
from common.jobs.scheduling import dispatcher
from common.jobs.scheduling.queue_queries import models_with_links
from dev.postgres import Postgres
from tests.db.job_cases import (
    MODEL,
    WORKER,
    at_once,
    claimed,
    emptied,
    execute,
    lose,
    one,
    pool_on,
    submitted,
    with_worker,
)
from tests.waiting import until

AUDIO = FetchedAudio("audio/x/y", 5, "ab")


@pytest.fixture(scope="module")
def shared_database(postgres: Postgres) -> Iterator[Database]:
    with pool_on(postgres) as database:
        yield database


@pytest.fixture
def database(shared_database: Database) -> Database:
    return emptied(shared_database)


def links(database: Database, number: int, tenant: str = "default", **changes: object) -> list[jobs.Job]:
    return [submitted(database, tenant=tenant, audio_key=None, **changes) for _ in range(number)]


def claim(
    database: Database,
    number: int,
    *,
    busy: dict[str, int] | None = None,
    limit: int = 100,
    stock: int = 100,
    ahead: int = 1,
    worker: str = WORKER,
) -> list[Claim]:
    holder, limits = Holder(worker, MODEL, 600.0), DownloadLimits(limit, stock, ahead)
    return jobs.claim_links(database, holder, number, downloading=Counter(busy or {}), limits=limits)


def announced(database: Database) -> int:
    return jobs.dispatch(database, lambda _id, _model: None, redispatch_seconds=15.0)


def test_no_slot_is_given_to_a_link_and_none_is_taken_by_its_download(database: Database) -> None:
    with_worker(database, slots=2)
    links(database, 3)
    assert announced(database) == 0
    assert len(claim(database, 3)) == 3
    uploads = [submitted(database) for _ in range(3)]
    assert announced(database) == 2, "downloads were counted as running jobs"
    held = claimed(database, uploads[0])
    assert held.job.id == uploads[0].id


def test_a_job_with_a_link_is_not_claimed_for_a_slot(database: Database) -> None:
    [job] = links(database, 1)
    assert jobs.claim(database, job.id, worker=WORKER, model=MODEL, lease_seconds=60) is None
    assert jobs.get(database, job.id).status is Status.QUEUED


def test_no_tenant_gets_more_downloads_than_its_share(database: Database) -> None:
    links(database, 20, "drips")
    [other] = links(database, 1, "other")
    first = claim(database, 8, limit=4)
    assert Counter(item.job.tenant for item in first) == {"drips": 4, "other": 1}
    assert other.id in {item.job.id for item in first}
    assert claim(database, 3, busy={"drips": 4}, limit=4) == []
    links(database, 1, "late")
    assert [item.job.tenant for item in claim(database, 1, busy={"drips": 3}, limit=4)] == ["late"]


def test_downloads_slow_down_when_enough_of_a_tenants_jobs_wait_for_a_slot(database: Database) -> None:
    links(database, 20, "many")
    waiting = [submitted(database, tenant="many") for _ in range(2)]
    assert len(claim(database, 2, stock=3, ahead=0)) == 2
    waiting.append(submitted(database, tenant="many"))
    assert claim(database, 8, stock=3, ahead=0) == []
    assert len(claim(database, 8, stock=3, ahead=1)) == 1
    assert claim(database, 8, busy={"many": 1}, stock=3, ahead=1) == []
    links(database, 1, "other")
    links(database, 1, "many", priority=7)
    found = claim(database, 8, busy={"many": 1}, stock=3, ahead=0)
    assert [(item.job.tenant, item.job.priority) for item in found] == [("many", 7), ("other", 5)]
    execute(database, "UPDATE jobs SET not_before = now() + interval '1 hour' WHERE id = :id", id=waiting[0].id)
    assert len(claim(database, 2, stock=3, ahead=0)) == 2, "jobs that wait for their next attempt are no stock"
    execute(database, "UPDATE jobs SET not_before = now() WHERE id = :id", id=waiting[0].id)
    assert claim(database, 2, stock=3, ahead=0) == []
    claimed(database, waiting[0])
    assert len(claim(database, 4, stock=3, ahead=0)) == 4, "jobs that run are no stock"


def test_links_that_wait_for_their_next_attempt_hold_up_nobody(database: Database) -> None:
    links(database, 1, "a")
    [held] = claim(database, 1)
    jobs.try_again(database, held, code="source_rate_too_low", message="slow", pause_seconds=600, stage_ms={})
    links(database, 1, "b")
    assert [item.job.tenant for item in claim(database, 1)] == ["b"]


def test_workers_are_woken_only_where_one_would_read_it(database: Database) -> None:
    links(database, 1)

    def woken() -> list[str]:
        return list(models_with_links(database))

    assert woken() == []
    with_worker(database)
    assert woken() == [MODEL]
    execute(database, "UPDATE workers SET heartbeat_at = now() - interval '1 hour'")
    assert woken() == [], "messages would pile up in a queue that nobody reads"


def test_a_link_is_downloaded_by_one_worker(database: Database) -> None:
    expected = {job.id for job in links(database, 6)}
    found = at_once([lambda n=n: claim(database, 2, worker=f"w{n}") for n in range(3)])  # type: ignore[misc]
    assert sorted(item.job.id for items in found for item in items) == sorted(expected)


def test_a_draining_worker_downloads_nothing(database: Database) -> None:
    with_worker(database)
    links(database, 1)
    jobs.ask_to_drain(database, WORKER, Drain.STAY)
    assert claim(database, 1) == []
    jobs.ask_to_drain(database, WORKER, None)
    assert len(claim(database, 1)) == 1


def test_a_downloaded_job_waits_for_a_slot_with_the_same_attempt(database: Database) -> None:
    with_worker(database)
    [job] = links(database, 1)
    [held] = claim(database, 1)
    assert (held.job.status, held.attempt) == (Status.PROCESSING, 1)
    jobs.hand_over(database, held, AUDIO, stage_ms={"fetching": 7})
    waiting = jobs.get(database, job.id)
    assert (waiting.status, waiting.stage, waiting.source.audio_key) == (Status.QUEUED, None, AUDIO.key)
    assert announced(database) == 1
    again = claimed(database, waiting)
    assert (again.attempt, again.job.id) == (1, job.id)
    assert [item.outcome for item in jobs.attempts(database, job.id)] == [Outcome.FETCHED, None]


def test_a_cancel_during_the_download_ends_the_job(database: Database) -> None:
    [job] = links(database, 1)
    [held] = claim(database, 1)
    jobs.cancel(database, job.id)
    jobs.hand_over(database, held, AUDIO, stage_ms={})
    assert jobs.get(database, job.id).status is Status.CANCELED


def test_a_link_that_failed_goes_to_the_back(database: Database) -> None:
    first, second = links(database, 2)
    [held] = claim(database, 1)
    assert held.job.id == first.id
    jobs.try_again(database, held, code="source_rate_too_low", message="slow", pause_seconds=0.001, stage_ms={})
    assert [item.job.id for item in claim(database, 1)] == [second.id]
    assert [item.job.id for item in until(lambda: claim(database, 1))] == [first.id]


def test_a_lost_download_is_repeated_and_makes_no_suspect(database: Database) -> None:
    [job] = links(database, 1)
    for _ in range(3):
        [held] = claim(database, 1)
        assert lose(database, held) is Status.QUEUED
    assert one(database, "SELECT crashes FROM jobs WHERE id = :id", id=job.id) == 0


def test_a_renewal_keeps_a_download(database: Database) -> None:
    links(database, 1)
    [held] = claim(database, 1)
    worker = jobs.Worker(WORKER, MODEL, "r1", "fp32", "cpu", 2)
    progress = jobs.Progress(held.token, Stage.FETCHING, 0, None)
    assert jobs.renew(database, worker, [progress], lease_seconds=60, draining=False).held == {held.token: False}


def test_many_links_are_few_messages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "FETCHERS_PAUSE_SECONDS", 3600.0)
    with_worker(database)
    links(database, 3)
    woken: list[str] = []
    dispatched = threading.Event()

    class Watched(dispatcher.Dispatcher):
        def work(self) -> None:
            super().work()
            dispatched.set()

    running = Watched(database, lambda _id, _model: None, redispatch_seconds=15, wake_fetchers=woken.append)
    running.start()
    try:
        for _ in range(3):
            assert dispatched.wait(120)
            dispatched.clear()
            running.wake()
        assert dispatched.wait(120)
    finally:
        running.stop()
    assert woken == [MODEL]


def test_the_last_links_of_a_burst_are_told_at_its_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "FETCHERS_PAUSE_SECONDS", 3600.0)
    with_worker(database)
    woken: list[str] = []
    asked: list[float] = []

    class Watched(dispatcher.Dispatcher):
        def work_within(self, seconds: float) -> None:
            asked.append(seconds)

    running = Watched(database, lambda _id, _model: None, redispatch_seconds=15, wake_fetchers=woken.append)
    links(database, 1)
    running.work()
    assert (woken, asked) == ([MODEL], [])
    for _ in range(2):
        links(database, 1)
        running.wake()
        running.work()
    assert woken == [MODEL]
    assert [3590 < seconds <= 3600 for seconds in asked] == [True, True]
    monkeypatch.setattr(dispatcher, "FETCHERS_PAUSE_SECONDS", 0.0)
    running.work()
    running.work()
    assert woken == [MODEL, MODEL]
