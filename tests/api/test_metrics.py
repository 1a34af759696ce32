"""The metrics of the API: values, access, and cost."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from api import queue_metrics
from common import jobs
from common.db import Database
from common.jobs import QueueStats, queue_stats
from common.settings import Settings
from common.telemetry.metrics import Readers
from dev.postgres import Postgres
from dev.process import free_port
from dev.valkey import Valkey
from tests.api.api_cases import Api, api_settings, problem_of, running_api
from tests.db.job_cases import MODEL, execute, one, submission, with_worker
from tests.servers import ADMIN_KEY, fresh_database
from tests.waiting import until_blocked_in

TOKEN = "a-token-for-prometheus"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(queue_metrics, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(queue_metrics, "REST", 0.0)
    return shared.emptied()


def scraped(port: int, **headers: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers, trust_env=False, timeout=60)


def samples(port: int, **headers: str) -> Samples:
    answer = scraped(port, **headers)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(item.name, frozenset(item.labels.items())): item.value for family in families for item in family.samples}


def value(metrics: Samples, name: str, **labels: str) -> float:
    return metrics.get((name, frozenset(labels.items())), 0.0)


def test_the_queue_by_model_and_priority(api: Api) -> None:
    with_worker(api.database, slots=3)
    for priority in (9, 5, 5):
        jobs.submit(api.database, submission(priority=priority))
    execute(api.database, "UPDATE jobs SET not_before = now() - interval '90 s' WHERE priority = 9")
    paused = jobs.submit(api.database, submission(priority=1))
    execute(api.database, f"UPDATE jobs SET not_before = now() + interval '90 s' WHERE id = '{paused.id}'")
    metrics = samples(api.port)
    assert value(metrics, "paraqueue_database_up") == value(metrics, "paraqueue_redis_up") == 1
    depth = [value(metrics, "paraqueue_queue_jobs", model=MODEL, priority=str(level)) for level in range(10)]
    assert depth == [0, 1, 0, 0, 0, 2, 0, 0, 0, 1]
    age = one(api.database, "SELECT extract(epoch FROM now() - not_before)::float FROM jobs WHERE priority = 9")
    assert 90 <= value(metrics, "paraqueue_queue_oldest_seconds", model=MODEL, priority="9") <= age
    assert value(metrics, "paraqueue_queue_oldest_seconds", model=MODEL, priority="1") == 0, "it waits for its pause"
    assert value(metrics, "paraqueue_queue_paused_jobs", model=MODEL, priority="1") == 1
    assert value(metrics, "paraqueue_jobs", model=MODEL, state="queued") == 4
    assert value(metrics, "paraqueue_slots", model=MODEL) == 3
    assert value(metrics, "paraqueue_workers", model=MODEL, state="ready") == 1


def test_a_job_is_counted_when_it_was_committed_and_by_how_it_ended(api: Api) -> None:
    before = samples(api.port)
    made = api.submit_link().json()["id"]
    assert api.client.post(f"/v1/transcriptions/{made}/cancel").status_code == 202
    problem_of(api.submit_link("ftp://example.com/a"), 422, "invalid_request")
    after = samples(api.port)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grown("paraqueue_jobs_submitted_total", model=MODEL, source="https") == 1
    assert grown("paraqueue_runs_ended_total", model=MODEL, status="canceled", error_code="") == 1
    route = "/v1/transcriptions"
    assert grown("paraqueue_http_requests_total", method="POST", route=route, status="202") == 1
    assert grown("paraqueue_http_requests_total", method="POST", route=route, status="422") == 1
    assert grown("paraqueue_http_errors_total", code="invalid_request") == 1
    assert grown("paraqueue_http_request_body_bytes_total", route=route) > 50
    assert grown("paraqueue_http_request_duration_seconds_count", route=route) == 2
    canceled = "/v1/transcriptions/{transcription_id}/cancel"
    assert grown("paraqueue_http_requests_total", method="POST", route=canceled, status="202") == 1


def test_what_was_rolled_back_is_not_counted(api: Api) -> None:
    before = samples(api.port)

    with pytest.raises(ZeroDivisionError), api.database.transaction() as session:
        jobs.submit_in(session, submission())
        raise ZeroDivisionError
    name, labels = "paraqueue_jobs_submitted_total", {"model": MODEL, "source": submission().source_kind}
    assert value(samples(api.port), name, **labels) == value(before, name, **labels)
    jobs.submit(api.database, submission())
    assert value(samples(api.port), name, **labels) == value(before, name, **labels) + 1


def test_no_label_holds_what_a_client_chose(api: Api) -> None:
    made = api.submit_link("https://example.com/secret-name.mp3", tags=["private-tag"]).json()["id"]
    api.get(f"/{made}")
    api.client.get("/v1/nothing-like-this")
    api.client.request("BREW", "/v1/transcriptions")
    text = scraped(api.port).text
    for chosen in (made, made[3:], "secret-name", "private-tag", "nothing-like-this", "BREW", ADMIN_KEY):
        assert chosen not in text


def test_late_webhooks(api: Api) -> None:
    execute(
        api.database,
        "INSERT INTO deliveries (id, event, lane, url, payload, next_attempt_at) SELECT gen_random_uuid(), 'e', 'l', "
        "'https://example.com', '{}', now() + make_interval(secs => n) FROM unnest(ARRAY[-50, -5, 60]) n",
    )
    metrics = samples(api.port)
    assert (value(metrics, "paraqueue_webhooks_pending"), value(metrics, "paraqueue_webhooks_due")) == (3, 2)
    assert value(metrics, "paraqueue_webhook_lag_seconds") >= 50


def test_many_readers_cost_one_look(shared: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Database] = []

    def slowly(database: Database) -> QueueStats:
        looks.append(database)
        until_blocked_in(queue_metrics.QueueMetrics.look, threads=8)
        return queue_stats(database)

    monkeypatch.setattr(queue_metrics, "queue_stats", slowly)
    monkeypatch.setattr(queue_metrics, "FRESH_SECONDS", 30.0)
    monkeypatch.setattr(queue_metrics, "PATIENCE_SECONDS", 60.0)
    shared.service.queue_metrics._last = None
    readers = [threading.Thread(target=samples, args=(shared.port,)) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(looks) == 1


@pytest.mark.parametrize("away", ["refuses", "silent"])
def test_without_the_database_the_metrics_still_come(away: str, valkey: Valkey, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1] if away == "silent" else free_port()
        settings = api_settings(f"postgresql://paraqueue@127.0.0.1:{port}/none", valkey.url(), tmp_path)
        with running_api(settings) as api:
            metrics = samples(api.port)
            assert value(metrics, "paraqueue_database_up") == 0
            assert not [name for name, _ in metrics if name.startswith("paraqueue_queue")], "old figures would be a lie"
            assert ("paraqueue_http_requests_in_progress", frozenset()) in metrics


def test_redis_away(postgres: Postgres, tmp_path: Path) -> None:
    with fresh_database(postgres) as url:
        settings = api_settings(url, f"redis://127.0.0.1:{free_port()}/0", tmp_path)
        with running_api(settings) as api:
            api.client.get("/v1/transcriptions")
            metrics = samples(api.port)
            assert (value(metrics, "paraqueue_redis_up"), value(metrics, "paraqueue_database_up")) == (0, 1)
            assert value(metrics, "paraqueue_rate_limits_local") == 1


def test_a_reader_without_a_token_is_near_and_comes_directly(api: Api) -> None:
    assert scraped(api.port).headers["content-type"].startswith("text/plain; version=")
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        problem_of(scraped(api.port, **{name: "203.0.113.9"}), 403, "forbidden")


def test_with_a_token_only_the_token_counts(postgres: Postgres, valkey: Valkey, tmp_path: Path) -> None:
    with fresh_database(postgres) as url:
        settings = api_settings(url, valkey.url(), tmp_path, metrics_token=SecretStr(TOKEN))
        with running_api(settings) as api:
            problem_of(scraped(api.port), 401, "unauthenticated")
            problem_of(scraped(api.port, Authorization=f"Bearer {TOKEN}x"), 401, "unauthenticated")
            answer = scraped(api.port, Authorization=f"Bearer {TOKEN}", **{"X-Forwarded-For": "203.0.113.9"})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("address", "networks", "admitted"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("::ffff:127.0.0.1", None, True),
        ("10.1.2.3", None, False),
        ("10.1.2.3", "127.0.0.0/8,10.0.0.0/8", True),
        ("203.0.113.9", "127.0.0.0/8,10.0.0.0/8", False),
        ("127.0.0.1", "", False),
        (None, None, False),
    ],
)
def test_networks(address: str | None, networks: str | None, admitted: bool) -> None:
    more: dict[str, Any] = {} if networks is None else {"metrics_networks": networks}
    assert Readers(Settings(**more)).admit({}, address) is admitted


def test_names_and_units_are_those_of_prometheus(api: Api) -> None:
    text = scraped(api.port).text
    kinds = dict(re.findall(r"^# TYPE (paraqueue_\w+) (\w+)$", text, re.MULTILINE))
    assert len(kinds) > 20
    for name, kind in kinds.items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ms|minutes|hours|percent|mb|kb)(_total)?$", name), name
        assert re.search(rf"^# HELP {name} .{{15,}}\.$", text, re.MULTILINE), f"{name} is not explained"
