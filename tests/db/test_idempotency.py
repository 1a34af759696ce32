"""Idempotency keys: one response, also with concurrent requests and dying processes."""

from __future__ import annotations

import uuid

import pytest

from common import idempotency, jobs
from common.db import Database
from common.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from common.idempotency import IdempotencyLease, IdempotencyScope, StoredResponse
from common.settings import Settings
from tests.db.job_cases import NO_LIMIT, at_once, execute, one, storage_of, submission

MINE = IdempotencyScope("default", None, "order-4711")
FIRST = StoredResponse(b"print", 202, b'{"id": "tr_1"}', "/v1/transcriptions/tr_1")


def held(database: Database, scope: IdempotencyScope = MINE) -> IdempotencyLease:
    begun = idempotency.begin(database, scope)
    assert isinstance(begun, IdempotencyLease)
    return begun


def kept(database: Database, scope: IdempotencyScope = MINE) -> uuid.UUID:
    """A job that was submitted under the key; its id."""
    begun = held(database, scope)
    with database.transaction() as session:
        job = jobs.submit_in(session, submission())
        idempotency.keep(session, begun, FIRST, job_id=job.id)
    return job.id


def test_a_repeat_gets_the_first_answer(database: Database) -> None:
    kept(database)
    assert idempotency.begin(database, MINE) == FIRST
    assert FIRST.for_request(b"print") == FIRST
    with pytest.raises(IdempotencyKeyReused):
        FIRST.for_request(b"another")


def test_a_request_under_way_keeps_its_key(database: Database) -> None:
    held(database)
    with pytest.raises(IdempotencyKeyInUse):
        idempotency.begin(database, MINE)


@pytest.mark.parametrize(
    "other",
    [
        IdempotencyScope("other", None, MINE.key),
        IdempotencyScope("default", uuid.uuid4(), MINE.key),
        IdempotencyScope("default", None, "b"),
    ],
)
def test_keys_of_others_are_other_keys(database: Database, other: IdempotencyScope) -> None:
    kept(database)
    held(database, other)


def test_fifty_at_once_are_one(database: Database) -> None:
    def attempt() -> IdempotencyLease | StoredResponse | None:
        try:
            return idempotency.begin(database, MINE)
        except IdempotencyKeyInUse:
            return None

    begun = at_once([attempt] * 50)
    assert len([item for item in begun if isinstance(item, IdempotencyLease)]) == 1
    assert not [item for item in begun if isinstance(item, StoredResponse)]


def test_who_died_keeps_the_key_for_its_lease_only(database: Database) -> None:
    dead = held(database)
    execute(database, "UPDATE idempotency_keys SET lease_expires_at = now() - interval '1 second'")
    heir = held(database)
    assert heir != dead
    with pytest.raises(IdempotencyKeyInUse):
        idempotency.begin(database, MINE)


def test_who_lost_its_key_makes_nothing(database: Database) -> None:
    """It was not dead, only slow: its job is rolled back with its answer."""
    slow = held(database)
    execute(database, "UPDATE idempotency_keys SET lease_expires_at = now() - interval '1 second'")
    kept(database)
    with pytest.raises(IdempotencyKeyInUse), database.transaction() as session:
        jobs.submit_in(session, submission())
        idempotency.keep(session, slow, FIRST)
    assert one(database, "SELECT count(*) FROM jobs") == 1
    idempotency.renew(database, slow)
    idempotency.release(database, slow)
    assert idempotency.begin(database, MINE) == FIRST


def test_a_renewed_lease_holds(database: Database) -> None:
    begun = held(database)
    execute(database, "UPDATE idempotency_keys SET lease_expires_at = now() - interval '1 second'")
    idempotency.renew(database, begun)
    with pytest.raises(IdempotencyKeyInUse):
        idempotency.begin(database, MINE)


def test_after_an_error_the_key_is_free(database: Database) -> None:
    idempotency.release(database, held(database))
    kept(database)


def test_an_answer_is_kept_for_a_day(database: Database) -> None:
    kept(database)
    execute(database, "UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'")
    assert idempotency.expire(database, NO_LIMIT) == 0
    assert idempotency.begin(database, MINE) == FIRST
    execute(database, "UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute'")
    held(database)  # also before clean-up
    execute(database, "UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute'")
    assert idempotency.expire(database, NO_LIMIT) == 1


def test_the_answer_goes_with_its_job(database: Database, settings: Settings) -> None:
    job_id = kept(database)
    jobs.delete_job(database, storage_of(settings), job_id)
    assert one(database, "SELECT count(*) FROM idempotency_keys") == 0
