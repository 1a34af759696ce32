"""What a worker does to a job: claim, commit, and each way to end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event

from common import jobs
from common.db import Database
from common.job_states import Stage, Status
from common.jobs import Claim, LeaseLost, Progress, Worker
from tests.db.job_cases import (
    LONG,
    MODEL,
    NO_LIMIT,
    WORKER,
    at_once,
    claimed,
    complete,
    completed,
    execute,
    expire_lease,
    fail,
    one,
    part,
    rows,
    snapshot,
    submitted,
)

ME = Worker(WORKER, MODEL, "r1", "fp32", "cpu", 1)


def claim(database: Database, job_id: uuid.UUID, worker: str = WORKER) -> Claim | None:
    return jobs.claim(database, job_id, worker=worker, model=MODEL, lease_seconds=LONG)


def renew(database: Database, held: Claim, processed_ms: int = 0, declared_ms: int | None = None) -> Any:
    progress = [Progress(held.token, Stage.TRANSCRIBING, processed_ms, declared_ms)]
    return jobs.renew(database, ME, progress, lease_seconds=LONG, draining=False).held


def texts(database: Database, job_id: uuid.UUID) -> list[str]:
    return [sentence.text for sentence in jobs.sentences(database, jobs.get(database, job_id))]


def test_submitted_job_is_queued_with_what_was_asked(database: Database) -> None:
    job = submitted(database, priority=7, tags=("a", "会议"), channels="split", name="meeting.mp3")
    assert job == jobs.get(database, job.id)
    assert (job.status, job.priority, job.tags, job.channels) == (Status.QUEUED, 7, ("a", "会议"), "split")
    assert (job.run, job.attempts, job.progress, job.result, job.failure) == (1, 0, None, None, None)
    assert job.created_at.tzinfo is not None


def test_same_id_cannot_be_submitted_twice(database: Database) -> None:
    job = submitted(database)
    with pytest.raises(Exception, match="jobs_pkey"):
        submitted(database, id=job.id)


def test_claim_takes_the_job_and_records_the_attempt(database: Database) -> None:
    job = submitted(database)
    held = claim(database, job.id)
    assert held is not None
    assert (held.attempt, held.failures, held.resume, held.sentences, held.spent_ms) == (1, 0, None, 0, 0)
    assert (held.job.status, held.job.stage) == (Status.PROCESSING, Stage.FETCHING)
    [attempt] = jobs.attempts(database, job.id)
    assert (attempt.worker, attempt.number, attempt.outcome, attempt.resumed_ms) == (WORKER, 1, None, 0)


def test_only_one_of_twenty_claims_at_once_wins(database: Database) -> None:
    job = submitted(database)
    won = at_once([partial(claim, database, job.id, f"worker-{n}") for n in range(20)])
    [held] = [one for one in won if one is not None]
    assert one(database, "SELECT lease_token FROM jobs") == held.token
    assert len(jobs.attempts(database, job.id)) == 1


@pytest.mark.parametrize("why", ["unknown", "other model", "not due", "canceled", "completed"])
def test_claim_leaves_unavailable_jobs_alone(database: Database, why: str) -> None:
    job = completed(database) if why == "completed" else submitted(database)
    if why == "not due":
        execute(database, "UPDATE jobs SET not_before = now() + interval '1 hour'")
    if why == "canceled":
        jobs.cancel(database, job.id)
    before = snapshot(database, job.id)
    model = "another" if why == "other model" else MODEL
    job_id = uuid.uuid4() if why == "unknown" else job.id
    assert jobs.claim(database, job_id, worker=WORKER, model=model, lease_seconds=LONG) is None
    assert snapshot(database, job.id) == before


def test_parts_add_up_to_the_transcript(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "一。", "二。"), first_sentence=0)
    jobs.commit_part(database, held, part(1, "三。"), first_sentence=2)
    assert texts(database, held.job.id) == ["一。", "二。", "三。"]
    assert jobs.get(database, held.job.id).processed_ms == 20_000
    sentences = list(jobs.sentences(database, jobs.get(database, held.job.id)))
    assert sentences[2] == part(1, "三。").sentences[0]


def test_next_attempt_resumes_behind_the_last_part(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "一。", "二。", state=b"zero"), first_sentence=0)
    jobs.commit_part(database, held, part(1, "三。", state=b"one"), first_sentence=2)
    jobs.release(database, held, stage_ms={"transcribing": 700})
    again = claimed(database, held.job)
    assert again.resume is not None
    assert (again.resume.number, again.resume.end_ms, again.resume.state) == (1, 20_000, b"one")
    assert (again.attempt, again.sentences, again.spent_ms) == (2, 3, 700)
    assert jobs.attempts(database, held.job.id)[1].resumed_ms == 20_000


def test_only_the_newest_part_keeps_its_state(database: Database) -> None:
    held = claimed(database)
    for number in range(3):
        jobs.commit_part(database, held, part(number, "一。"), first_sentence=number)
    assert rows(database, "SELECT number, state IS NULL FROM parts ORDER BY number") == [
        (0, True),
        (1, True),
        (2, False),
    ]


def test_committing_a_part_again_changes_nothing(database: Database) -> None:
    """The answer to the first commit got lost, so the worker sends it again."""
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "一。", "二。", state=b"precious"), first_sentence=0)
    before = snapshot(database, held.job.id)
    jobs.commit_part(database, held, part(0, "一。", "二。", state=b"precious"), first_sentence=0)
    assert snapshot(database, held.job.id) == before
    jobs.release(database, held, stage_ms={})
    again = claimed(database, held.job)
    assert again.resume is not None
    assert again.resume.state == b"precious"


def test_progress_does_not_go_back_at_a_commit(database: Database) -> None:
    held = claimed(database)
    renew(database, held, processed_ms=12_345)
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    assert jobs.get(database, held.job.id).processed_ms == 12_345


def test_a_part_without_sentences_is_a_part(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0), first_sentence=0)
    assert rows(database, "SELECT number, sentences FROM parts") == [(0, 0)]


def write_with_lost_lease() -> dict[str, Callable[[Database, Claim], None]]:
    return {
        "commit_part": lambda d, h: jobs.commit_part(d, h, part(0, "不。"), first_sentence=0),
        "complete": complete,
        "fail": fail,
        "try_again": lambda d, h: jobs.try_again(d, h, code="c", message="m", pause_seconds=1, stage_ms={}),
        "release": lambda d, h: jobs.release(d, h, stage_ms={}),
        "stop_canceled": lambda d, h: jobs.stop_canceled(d, h, stage_ms={}),
        "restart": jobs.restart,
        "record_audio": lambda d, h: jobs.record_audio(d, h, key="k", size=1, sha256="s"),
    }


@pytest.mark.parametrize("write", write_with_lost_lease())
@pytest.mark.parametrize("now_with", ["nobody", "another worker"])
def test_a_fenced_off_worker_changes_nothing(database: Database, write: str, now_with: str) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    expire_lease(database, held.job.id)
    jobs.rescue_expired(database)
    if now_with == "another worker":
        assert claim(database, held.job.id, "worker-2") is not None
    before = snapshot(database, held.job.id)
    with pytest.raises(LeaseLost):
        write_with_lost_lease()[write](database, held)
    assert snapshot(database, held.job.id) == before
    assert renew(database, held) == {}


def test_audio_of_a_link_is_recorded_for_the_next_attempt(database: Database) -> None:
    held = claimed(database)
    jobs.record_audio(database, held, key="audio/x/y", size=5_000_000_000, sha256="ab")
    jobs.release(database, held, stage_ms={})
    source = claimed(database, held.job).job.source
    assert (source.audio_key, source.audio_bytes, source.audio_sha256) == ("audio/x/y", 5_000_000_000, "ab")


def test_every_time_is_the_clock_of_the_database(database: Database) -> None:
    """No statement of a whole life carries a time that was made in Python."""
    given: list[object] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(_c: object, _cursor: object, _statement: str, parameters: Any, _context: object, _many: bool) -> None:
        sets = parameters if isinstance(parameters, list) else [parameters]
        given.extend(value for values in sets for value in values.values())

    held = claimed(database)
    renew(database, held, 10)
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    jobs.try_again(database, held, code="c", message="m", pause_seconds=0, stage_ms={})
    held = claimed(database, held.job)
    expire_lease(database, held.job.id)
    jobs.rescue_expired(database)
    complete(database, claimed(database, held.job))
    canceled = jobs.cancel(database, submitted(database).id)
    jobs.retry(database, canceled.id)
    jobs.dispatch(database, lambda _id, _model: None, redispatch_seconds=15)
    jobs.expire_results(database, NO_LIMIT, after_seconds=5)
    assert len(given) > 50
    assert not [value for value in given if isinstance(value, datetime)]


def test_a_claim_whose_answer_got_lost_is_undone(database: Database) -> None:
    job = submitted(database)
    token = uuid.uuid4()
    jobs.claim(database, job.id, worker=WORKER, model=MODEL, lease_seconds=60, token=token)
    jobs.abandon_claim(database, WORKER, token)
    assert jobs.get(database, job.id).status is Status.QUEUED
    assert jobs.attempts(database, job.id) == []
    again = claimed(database, job)
    assert again.attempt == 1
    jobs.abandon_claim(database, WORKER, token)  # also where it was not the claim that got lost
    assert jobs.get(database, job.id).status is Status.PROCESSING


@pytest.mark.parametrize("fetched", [False, True])
def test_parts_stay_with_their_job_whatever_happens_before_the_next_attempt(database: Database, fetched: bool) -> None:
    job = submitted(database, **({"audio_key": None} if fetched else {}))
    if fetched:  # its attempts so far downloaded the link: the number of the next one stays
        copy = jobs.FetchedAudio("audio/copy", 5, "0" * 64)
        jobs.hand_over(database, claimed(database, job), copy, stage_ms={"fetching": 100})
    held = claimed(database, job)
    assert (held.attempt, held.resume, held.sentences, held.spent_ms) == (1, None, 0, 0)
    jobs.commit_part(database, held, part(0, "一。", "二。"), first_sentence=0)
    jobs.release(database, held, stage_ms={"transcribing": 300})
    for _ in range(2):
        token = uuid.uuid4()
        jobs.claim(database, job.id, worker=WORKER, model=MODEL, lease_seconds=LONG, token=token)
        jobs.abandon_claim(database, WORKER, token)
    again = claimed(database, job)
    assert again.resume is not None
    assert (again.attempt, again.resume.number, again.sentences, again.spent_ms) == (2, 0, 2, 300)
    assert jobs.attempts(database, job.id)[-1].resumed_ms == again.resume.end_ms
    jobs.fail(database, again, code="engine", message="", retryable=True, stage_ms={})
    jobs.retry(database, job.id)
    anew = claimed(database, job)
    assert (anew.attempt, anew.resume, anew.sentences, anew.spent_ms) == (1, None, 0, 0)
