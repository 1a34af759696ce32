"""Many links at once, and what the group says of them."""

from __future__ import annotations

from typing import Any

import pytest

from common import ids, jobs
from common.db import Database
from common.errors import NotFound
from common.job_states import Status
from common.jobs import Batch, BatchSubmission, Refused
from common.models import DEFAULT_TENANT
from common.settings import Settings
from tests.db.job_cases import (
    canceled,
    claimed,
    completed,
    failed,
    one,
    storage_of,
    submission,
)


def batch(database: Database, good: int = 3, bad: int = 0, **changes: Any) -> Batch:
    """A batch whose bad items come last."""
    batch_id = ids.new_id()
    batch = BatchSubmission(
        batch_id,
        {n: submission(batch_id=batch_id, batch_number=n, **changes) for n in range(good)},
        tuple(Refused(good + n, "invalid_request", "has no host or bucket") for n in range(bad)),
    )
    with database.transaction() as session:
        jobs.submit_batch(session, batch)
    return jobs.get_batch(database, batch_id, tenant=changes.get("tenant", DEFAULT_TENANT))[0]


def again(database: Database, known: Batch) -> Batch:
    return jobs.get_batch(database, known.id, tenant=DEFAULT_TENANT)[0]


def test_a_batch_counts_its_jobs_in_every_state(database: Database, settings: Settings) -> None:
    made = batch(database, good=6, bad=2)
    assert made.total == 8
    assert made.counts[Status.QUEUED] == 6
    assert [item.number for item in made.refused] == [6, 7]
    _, members = jobs.get_batch(database, made.id, tenant=DEFAULT_TENANT)
    assert list(members) == [0, 1, 2, 3, 4, 5]
    completed(database, members[0])
    failed(database, members[1])
    canceled(database, members[2])
    claimed(database, members[3])
    jobs.delete_job(database, storage_of(settings), members[4].id)
    seen = again(database, made)
    assert dict(seen.counts) == dict.fromkeys(Status, 1)
    assert (seen.deleted, seen.done, seen.finished_at) == (1, False, None)


def test_a_batch_is_done_when_its_last_job_ends(database: Database) -> None:
    made = batch(database, good=2)
    _, members = jobs.get_batch(database, made.id, tenant=DEFAULT_TENANT)
    completed(database, members[0])
    assert not again(database, made).done
    last = failed(database, members[1])
    seen = again(database, made)
    assert seen.done
    assert seen.finished_at == last.finished_at


def test_all_jobs_or_none(database: Database) -> None:
    batch_id = ids.new_id()
    twice = submission(batch_id=batch_id, batch_number=0)
    with pytest.raises(Exception, match="jobs_pkey"), database.transaction() as session:
        jobs.submit_batch(session, BatchSubmission(batch_id, {0: twice, 1: twice}))
    assert one(database, "SELECT count(*) FROM jobs") == 0
    assert one(database, "SELECT count(*) FROM batches") == 0


def test_a_batch_of_another_tenant_is_not_there(database: Database) -> None:
    made = batch(database, tenant="other")
    with pytest.raises(NotFound):
        jobs.get_batch(database, made.id, tenant=DEFAULT_TENANT)
    assert jobs.batch_page(database, tenant=DEFAULT_TENANT).batches == ()


def test_batches_come_newest_first_and_in_pages(database: Database) -> None:
    made = [batch(database, good=n + 1, bad=n) for n in range(5)]
    seen: list[Batch] = []
    after = None
    while True:
        page = jobs.batch_page(database, tenant=DEFAULT_TENANT, after=after, limit=2)
        seen += page.batches
        if (after := page.next_cursor) is None:
            break
    assert seen == made[::-1]


def test_the_list_of_jobs_can_be_that_of_a_batch(database: Database) -> None:
    batch(database)
    made = batch(database, good=2)
    page = jobs.page(database, batch_id=made.id)
    assert {job.batch_id for job in page.jobs} == {made.id}
    assert len(page.jobs) == 2
