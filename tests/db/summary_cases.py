"""Completed jobs whose summaries are due, and the summarizer as a light worker runs it. For the tests of summaries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common import jobs, summaries
from common.db import Database
from common.job_states import TERMINAL
from common.jobs import Job
from common.options.transcription import TranscriptionOptions
from common.summaries import Summary, Wanted
from tests.chat_server import ChatServer, running_chat_server
from tests.db.job_cases import FINISHED, claimed, execute, part, rows, submitted
from tests.waiting import until
from worker.light.chat import ChatEndpoint
from worker.light.summarizer import Summarizer, SummaryRetries

LONG = tuple(f"第{number}项：" + "讨论了预算和人员的安排" * 4 + "。" for number in range(60))
SMALL = {"context_tokens": 1200, "max_tokens": 100}
MINUTES = Wanted("minutes")
SOON = SummaryRetries(base_seconds=0.01, longest_seconds=0.05, most_failures=3)


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[ChatServer]:
    with running_chat_server(tmp_path) as server:
        yield server


def spoken(database: Database, *texts: str, **changes: Any) -> Job:
    """A completed job with these sentences."""
    held = claimed(database, submitted(database, **changes))
    last = part(0, *texts, last=True)
    jobs.complete(database, held, last, FINISHED, first_sentence=0, stage_ms={})
    return jobs.get(database, held.job.id)


def two_speakers(database: Database, *texts: str) -> Job:
    """A completed job in which 王晓明 says the first sentence, and somebody else the second."""
    job = spoken(database, *texts, options=TranscriptionOptions(speakers=True))
    execute(database, "UPDATE sentences SET speaker = least(number, 1) + 1 WHERE job_id = :id", id=job.id)
    place = {"id": job.id, "run": job.run}
    for number, name in ((1, "王晓明"), (2, None)):
        execute(
            database,
            "INSERT INTO speakers (job_id, run, number, tenant, name, speech_ms) "
            "VALUES (:id, :run, :number, 'default', :name, 1)",
            **place,
            number=number,
            name=name,
        )
    return job


def requested(database: Database, *texts: str, wanted: Wanted = MINUTES, **changes: Any) -> Job:
    """A completed job with a summary that is due."""
    job = spoken(database, *(texts or ("我们决定周五发布。",)), **changes)
    summaries.request(database, job.id, wanted, tenant=job.tenant, key_id=job.key_id)
    return job


@contextmanager
def summarizing(database: Database, endpoint: ChatEndpoint | None, **options: Any) -> Iterator[Summarizer]:
    """A running summarizer."""
    summarizer = Summarizer(database, endpoint, **{"retries": SOON} | options)
    summarizer.start()
    try:
        yield summarizer
    finally:
        summarizer.stop()


def ended(database: Database, summarizer: Summarizer, job: Job) -> Summary:
    """The summary of a job once it has ended; the summarizer is woken as the sweep does."""

    def look() -> Summary | None:
        summarizer.wake()
        summary = summaries.get(database, job.id)
        return summary if summary.status in TERMINAL else None

    return until(look)


def made(database: Database, endpoint: ChatEndpoint, job: Job, **options: Any) -> Summary:
    """The summary of a job, made to its end."""
    with summarizing(database, endpoint, **options) as summarizer:
        return ended(database, summarizer, job)


def expire_lease(database: Database, job: Job) -> None:
    """As if the light worker had been silent for longer than its lease."""
    execute(
        database, "UPDATE summaries SET lease_expires_at = now() - interval '1 second' WHERE job_id = :id", id=job.id
    )


def counted(database: Database) -> list[tuple[str, str, int, int]]:
    """Whose tokens are recorded, the model, and how many."""
    query = "SELECT tenant, model, prompt_tokens, completion_tokens FROM summary_usage ORDER BY began_at"
    return [tuple(row) for row in rows(database, query)]
