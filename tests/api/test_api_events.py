"""`GET /v1/transcriptions/{id}/events`: what a client sees while a job runs."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from api.main import create_app
from common import jobs
from common.db import Database
from common.settings import Settings
from tests.db import job_cases as cases
from tests.servers import WITH_KEY
from tests.waiting import until


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any
    id: str | None


@pytest.fixture
def base_url(settings: Settings) -> Iterator[str]:
    """An API on a real socket."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive(), "an open event stream keeps the server from ending"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The same database as the API's."""
    pool = cases.database_of(settings)
    yield pool
    pool.close()


def read_events(base_url: str, job: jobs.Job, last_event_id: str | None = None) -> Iterator[Event]:
    """The events of one connection, as they come."""
    headers = WITH_KEY | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    with (
        httpx.Client(base_url=base_url, timeout=20) as client,
        client.stream("GET", f"/v1/transcriptions/{job.public_id}/events", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "event" in fields:
                yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
                fields = {}


def named(events: Iterator[Event], name: str) -> Event:
    """The next event of that name."""
    return next(event for event in events if event.name == name)


def test_parts_come_while_the_job_runs(base_url: str, database: Database) -> None:
    job = cases.submitted(database)
    events = read_events(base_url, job)
    assert named(events, "transcription").data["status"] == "queued"

    held = cases.claimed(database, job)
    assert named(events, "transcription").data["status"] == "processing"
    jobs.commit_part(database, held, cases.part(0, "你好。", "再见。"), first_sentence=0)
    first = named(events, "sentences")
    assert [sentence["text"] for sentence in first.data["sentences"]] == ["你好。", "再见。"]

    jobs.complete(database, held, cases.part(1, "好的。", last=True), cases.FINISHED, first_sentence=2, stage_ms={})
    second = named(events, "sentences")
    assert [sentence["text"] for sentence in second.data["sentences"]] == ["好的。"]
    assert named(events, "end").data == {"status": "completed"}
    assert list(events) == []


def test_a_broken_connection_continues_behind_the_last_event(base_url: str, database: Database) -> None:
    held = cases.claimed(database)
    jobs.commit_part(database, held, cases.part(0, "一。", "二。"), first_sentence=0)
    events = read_events(base_url, held.job)
    reached = named(events, "sentences").id
    events.close()  # type: ignore[attr-defined]
    jobs.complete(database, held, cases.part(1, "三。", last=True), cases.FINISHED, first_sentence=2, stage_ms={})
    later = [event for event in read_events(base_url, held.job, reached) if event.name == "sentences"]
    assert [sentence["text"] for event in later for sentence in event.data["sentences"]] == ["三。"]


def test_a_last_event_id_of_another_run_starts_anew(base_url: str, database: Database) -> None:
    job = cases.completed(database, None, "一。", "二。")
    for foreign in ("7.1", "nonsense", "1.x"):
        events = [event for event in read_events(base_url, job, foreign) if event.name == "sentences"]
        assert len(events[0].data["sentences"]) == 2, foreign


def test_deleting_the_job_ends_the_stream(base_url: str, database: Database, settings: Settings) -> None:
    job = cases.submitted(database)
    events = read_events(base_url, job)
    named(events, "transcription")
    jobs.delete_job(database, cases.storage_of(settings), job.id)
    assert named(events, "end").data == {"status": "deleted"}


def test_a_stream_of_an_expired_transcript_says_so(base_url: str, database: Database) -> None:
    job = cases.completed(database, None, "一。", "二。")
    cases.execute(database, "UPDATE jobs SET result_deleted_at = now(); DELETE FROM sentences")
    assert named(read_events(base_url, job), "end").data == {"status": "expired"}


def test_listening_survives_a_cut_connection(base_url: str, database: Database) -> None:
    job = cases.submitted(database)
    events = read_events(base_url, job)
    named(events, "transcription")
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'paraqueue-listen'"
    assert cases.one(database, cut) >= 1
    jobs.cancel(database, job.id)
    assert named(events, "end").data == {"status": "canceled"}


def test_an_unknown_job_is_a_plain_404(base_url: str) -> None:
    answer = httpx.get(f"{base_url}/v1/transcriptions/tr_{'0' * 32}/events", headers=WITH_KEY)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_long_poll_answers_when_the_job_ends(base_url: str, database: Database) -> None:
    job = cases.submitted(database)
    path = f"{base_url}/v1/transcriptions/{job.public_id}"
    assert httpx.get(path, headers=WITH_KEY, params={"wait": 0.5}).json()["status"] == "queued"

    threading.Timer(0.5, lambda: jobs.cancel(database, job.id)).start()
    # The client gives up before the wait is over: it gets an answer because the job ended, or none.
    assert httpx.get(path, headers=WITH_KEY, params={"wait": 60}, timeout=50).json()["status"] == "canceled"


def in_progress(base_url: str) -> int:
    """How many requests the API is serving."""
    text = httpx.get(f"{base_url}/metrics", headers=WITH_KEY).text
    match = re.search(r"^paraqueue_http_requests_in_progress (\d+)", text, re.MULTILINE)
    assert match is not None
    return int(match[1])


def test_many_long_polls_hold_nobody_up(base_url: str, database: Database) -> None:
    job = cases.submitted(database)
    path = f"{base_url}/v1/transcriptions/{job.public_id}"
    with ThreadPoolExecutor(60) as waiting:
        answers = [
            waiting.submit(httpx.get, path, headers=WITH_KEY, params={"wait": 60}, timeout=120) for _ in range(60)
        ]
        until(lambda: in_progress(base_url) > 60)  # they, and the call that asks
        submitted = httpx.post(
            f"{base_url}/v1/transcriptions", json={"audio_url": "https://example.com/a.mp3"}, headers=WITH_KEY
        )
        assert not any(answer.done() for answer in answers), "the submit was served only after polls had ended"
        jobs.cancel(database, job.id)
        assert submitted.status_code == 202
        assert {answer.result().json()["status"] for answer in answers} == {"canceled"}
