"""Trace context of work, as exported to a real OTLP receiver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import structlog

from common import jobs
from common.db import Database
from common.errors import AudioEmpty
from common.settings import Settings
from common.telemetry import tracing
from dev.process import free_port, spawn, stop_all, wait_until
from dev.stack import REPOSITORY
from tests.collector import Collector, Seen, running_collector
from tests.db.job_cases import MODEL, WORKER, execute, rows, submission, with_worker

ASKED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = ASKED.split("-")[1]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as receiver:
        tracing.configure_tracing(Settings(otlp_endpoint=receiver.url), service="test")
        yield receiver
        tracing.stop_tracing()


def sent(collector: Collector) -> dict[str, Seen]:
    tracing.stop_tracing()  # which sends what is left
    return {item.name: item for item in collector.spans}


def related(asked_at: datetime, *, first: bool = True) -> None:
    to = tracing.relation(ASKED, asked_at, first=first)
    with tracing.span("work", parent=to.parent, link=to.link):
        pass


def test_what_begins_soon_is_a_child(collector: Collector) -> None:
    related(datetime.now(UTC) - timedelta(minutes=59))
    work = sent(collector)["work"]
    assert (work.trace_id, work.parent_id, work.links) == (TRACE, ASKED.split("-")[2], ())


@pytest.mark.parametrize(("minutes", "first"), [(61, True), (0, False)], ids=["late", "again"])
def test_what_begins_late_or_again_is_a_trace_that_links_back(collector: Collector, minutes: int, first: bool) -> None:
    with tracing.span("around"):  # which it has nothing to do with
        related(datetime.now(UTC) - timedelta(minutes=minutes), first=first)
    spans = sent(collector)
    assert spans["work"].links == (TRACE,)
    assert spans["work"].trace_id not in {TRACE, spans["around"].trace_id}
    assert spans["work"].parent_id == ""


def test_what_goes_wrong_is_said_by_a_code_or_a_class(collector: Collector) -> None:
    for name, error in (("ours", AudioEmpty("secret.wav is empty")), ("theirs", OSError("/secret/path"))):
        with pytest.raises(type(error)), tracing.span(name):
            raise error
    spans = sent(collector)
    assert spans["ours"].failed
    assert spans["theirs"].failed
    assert "secret" not in repr(collector.spans)


def test_a_span_that_is_over_lies_where_it_was(collector: Collector) -> None:
    with tracing.span("around"):
        tracing.record("stage", 1_700_000_000_000_000_000, 1_700_000_002_500_000_000, {"paraqueue.busy_seconds": 1.5})
    spans = sent(collector)
    stage = spans["stage"]
    assert (stage.began, stage.ended) == (1_700_000_000.0, 1_700_000_002.5)
    assert stage.parent_id == spans["around"].span_id
    assert stage.attributes == {"paraqueue.busy_seconds": 1.5}


@pytest.mark.parametrize(
    "wrong", ["", "garbage", ASKED[:-1], ASKED.replace("0af7", "0AF7"), f"00-{'0' * 32}-b7ad6b7169203331-01", None]
)
def test_a_traceparent_that_is_none_is_not_passed_on(wrong: str | None) -> None:
    with tracing.span("work", parent=wrong):
        assert tracing.current() is None


def test_without_a_collector_the_callers_trace_goes_on_for_the_log() -> None:
    assert tracing.trace_id() is None
    with tracing.span("request", parent=ASKED):
        assert tracing.current() == ASKED
        with tracing.span("inside"):
            assert tracing.trace_id() == TRACE
    assert tracing.trace_id() is None


def test_a_collector_that_is_away_costs_no_work() -> None:
    code = (
        "from common.settings import load_settings\nfrom common.telemetry import tracing\n"
        "tracing.configure_tracing(load_settings(), service='test')\n"
        "with tracing.span('work'): print('worked')\ntracing.stop_tracing()"
    )
    environment = dict(os.environ) | {"PARAQUEUE_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "worked")


def test_the_last_request_before_the_end_is_told_too(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with running_collector() as receiver:
        variables = {"PARAQUEUE_OTLP_ENDPOINT": receiver.url, "PARAQUEUE_PORT": str(port)}
        api = spawn(
            "api", [sys.executable, "-m", "api.main"], tmp_path / "api.log", env=environment | variables, cwd=REPOSITORY
        )
        try:
            wait_until(lambda: answers(port), [api], 60, "the API did not answer")
        finally:
            stop_all([api], 30)
        assert [item.attributes["http.response.status_code"] for item in receiver.spans] == [401]
        assert receiver.spans[0].service == "paraqueue-api"


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/models", trust_env=False).status_code == 401
    except httpx.TransportError:
        return False


def test_a_job_and_its_retry_know_who_asked(settings: Settings) -> None:
    database = Database(settings.sqlalchemy_url, 2)
    other = ASKED.replace("0af7", "1bf7")
    with structlog.contextvars.bound_contextvars(request_id="first"), tracing.span("a", parent=ASKED):
        job = jobs.submit(database, submission())
    assert rows(database, "SELECT request_id, traceparent FROM jobs") == [("first", ASKED)]
    with_worker(database)
    held = jobs.claim(database, job.id, worker=WORKER, model=MODEL, lease_seconds=30)
    assert held is not None
    assert (held.request_id, held.traceparent) == ("first", ASKED)
    execute(
        database,
        "UPDATE jobs SET status = 'failed', lease_token = NULL, lease_worker = NULL, finished_at = now(), stage = NULL",
    )
    with structlog.contextvars.bound_contextvars(request_id="second"), tracing.span("b", parent=other):
        jobs.retry(database, job.id)
    assert rows(database, "SELECT request_id, traceparent FROM jobs") == [("second", other)]
    database.close()
