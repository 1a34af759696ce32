"""transcribe(job_id) for links: their errors, retries and cancels."""

from __future__ import annotations

import queue
import threading
import uuid
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common import jobs
from common.job_states import Outcome, Status
from common.transcript.values import Sentence
from tests.db.drips import Drips
from tests.db.task_cases import Bench, bench_with, in_background
from tests.engine.pipeline.cases import same
from tests.servers import HttpServer


@pytest.mark.parametrize(
    ("path", "code"),
    [("missing", "source_not_found"), ("page", "source_not_audio"), ("large", "source_too_large")],
)
def test_a_bad_link_fails_with_its_code(bench: Bench, http_server: HttpServer, path: str, code: str) -> None:
    (http_server.directory / "page").write_text("<!doctype html><title>Sign in</title>")
    (http_server.directory / "large").write_bytes(bytes(1000))
    own = bench.other(max_upload_bytes=900)
    job = own.link(http_server.url(path))
    assert own.run(job) == "failed"
    failure = own.now(job).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == (code, False)
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert (attempt.outcome, attempt.error_code) == (Outcome.FAILED, code)


def test_a_link_leads_to_a_transcript(
    bench: Bench, http_server: HttpServer, audio: Path, reference: list[Sentence]
) -> None:
    (http_server.directory / "a.mp3").write_bytes(audio.read_bytes())
    job = bench.link(http_server.url("a.mp3"))
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)
    assert bench.now(job).source.audio_bytes == audio.stat().st_size


def test_a_transient_error_is_tried_again_later(
    bench: Bench, http_server: HttpServer, audio: Path, reference: list[Sentence]
) -> None:
    busy = [True]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = b"" if busy[0] else audio.read_bytes()
        handler.send_response(503 if busy[0] else 200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    http_server.routes["/a"] = answer
    job = bench.link(http_server.url("a"))
    assert bench.run(job) == "retrying"
    waiting = bench.now(job)
    assert (waiting.status, waiting.stage, waiting.attempts) == (Status.QUEUED, None, 1)
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert (attempt.outcome, attempt.error_code) == (Outcome.RETRYING, "source_unreachable")
    assert attempt.ended_at is not None
    ((due,),) = bench.execute("SELECT not_before FROM jobs WHERE id = %(id)s", id=job.id)
    assert 0 < (due - attempt.ended_at).total_seconds() <= 0.5
    bench.execute("UPDATE jobs SET not_before = now() + interval '1 hour' WHERE id = %(id)s", id=job.id)
    assert bench.run(job) == "not_available"
    bench.execute("UPDATE jobs SET not_before = now() WHERE id = %(id)s", id=job.id)
    busy[0] = False
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)


def test_the_last_attempt_says_the_error(bench: Bench, http_server: HttpServer) -> None:
    http_server.routes["/a"] = lambda handler: handler.send_error(503)
    job = bench.link(http_server.url("a"))
    outcomes = []
    for _ in range(3):
        bench.execute("UPDATE jobs SET not_before = now() WHERE id = %(id)s", id=job.id)
        outcomes.append(bench.run(job))
    assert outcomes == ["retrying", "retrying", "failed"]
    failure = bench.now(job).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("source_unreachable", True)
    assert [item.number for item in jobs.attempts(bench.database, job.id)] == [1, 2, 3]


def test_a_cancel_stops_a_download_that_stalls(bench: Bench, http_server: HttpServer) -> None:
    reached, over = threading.Event(), threading.Event()

    def stall(_: BaseHTTPRequestHandler) -> None:
        reached.set()
        over.wait()

    http_server.routes["/a"] = stall
    # Longer than a test may take: nothing but the cancel can end it.
    patient = bench.other(fetch_stall_seconds=3600, fetch_timeout_seconds=3600)
    patient.transcriber.leases.start()
    try:
        job = patient.link(http_server.url("a"))
        thread, outcomes = in_background(patient, job)
        assert reached.wait(60)
        jobs.cancel(bench.database, job.id)
        thread.join(60)
        assert outcomes == ["canceled"]
    finally:
        over.set()
        patient.transcriber.leases.end()


def test_links_that_drip_keep_no_other_tenant_from_a_slot(
    bench: Bench, http_server: HttpServer, drips: Drips, audio: Path, reference: list[Sentence]
) -> None:
    """The whole way: downloaded beside the drips, announced for a slot, transcribed."""
    announced: queue.SimpleQueue[uuid.UUID] = queue.SimpleQueue()

    def dispatch() -> None:
        jobs.dispatch(bench.database, lambda job_id, _model: announced.put(job_id), redispatch_seconds=3600)

    settings = bench.settings.model_copy(update={"fetch_min_rate_seconds": 3600})
    attacked = bench_with(settings, bench.database, bench.transcriber.engine, wake_dispatcher=dispatch)
    slow = [bench.link(http_server.url("drip"), tenant="drips") for _ in range(6)]
    (http_server.directory / "a.mp3").write_bytes(audio.read_bytes())
    attacked.transcriber.leases.start()
    attacked.downloads.start()
    try:
        assert drips.listening.acquire(timeout=60)
        job = bench.link(http_server.url("a.mp3"), tenant="other")
        assert announced.get(timeout=60) == job.id
        assert attacked.transcriber.run(job.public_id) == "completed"
        assert same(bench.sentences(job), reference)
        assert [bench.now(item).status for item in slow].count(Status.PROCESSING) == 1
        assert announced.empty()
    finally:
        attacked.transcriber.leases.shut_down()
        attacked.downloads.stop()
        attacked.transcriber.leases.end()
