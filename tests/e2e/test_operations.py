"""What an operator sees of a running service: metrics in a real Prometheus, traces, logs, Flower."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from common.queue import SWEEP, TRANSCRIBE
from dev.postgres import Postgres
from dev.process import free_port, spawn, stop_all, wait_until
from dev.stack import REPOSITORY
from tests.collector import Collector, Seen, running_collector
from tests.e2e.service import Service, fresh_service
from tests.queries import RULES, SCRAPING, queries
from tests.waiting import until

SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = CALLER.split("-")[1]
REQUEST_ID = "the-request-of-the-test"
WEBHOOK_SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CLIENT = httpx.Client(timeout=30, trust_env=False)
ALL_UP = "count(up == 1) == 3"
FLOWER = ("paraqueue", "flower-password")
TOKEN = "a-token-for-prometheus"


@dataclass(frozen=True)
class Scene:
    """The service after a job that completed, one that failed, and their webhooks."""

    service: Service
    collector: Collector
    flower_port: int
    prometheus: str | None
    done: str
    failed: str


def prometheus_directory() -> Path | None:
    """The path of Prometheus; None if it is neither installed nor available."""
    completed = subprocess.run([REPOSITORY / "dev" / "prometheus.sh"], capture_output=True, text=True)
    return Path(completed.stdout.strip()) if completed.returncode == 0 else None


@contextmanager
def running_prometheus(ports: dict[str, int], place: Path) -> Iterator[str | None]:
    """Prometheus with the configuration of the repository, our ports in the place of its own."""
    programs = prometheus_directory()
    if programs is None:
        yield None
        return
    configuration = yaml.safe_load(SCRAPING.read_text())
    configuration["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
        job["authorization"] = {"credentials": TOKEN}
    place.mkdir()
    (place / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    shutil.copy(RULES, place)
    port = free_port()
    command = [
        str(programs / "prometheus"),
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    child = spawn("prometheus", command, place / "prometheus.log", env=dict(os.environ), cwd=place)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{url}/-/ready"), [child], 60, "Prometheus was not ready")
        yield url
    finally:
        stop_all([child], 20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def scene(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    place = tmp_path_factory.mktemp("operations")
    ports = {"paraqueue-worker": free_port(), "paraqueue-light": free_port()}
    environment = {
        "worker": {"PARAQUEUE_METRICS_PORT": str(ports["paraqueue-worker"])},
        "light": {"PARAQUEUE_METRICS_PORT": str(ports["paraqueue-light"])},
        "flower": {"FLOWER_BASIC_AUTH": ":".join(FLOWER)},
    }
    with running_collector() as collector:
        changes = {"otlp_endpoint": collector.url, "webhook_secret": WEBHOOK_SECRET, "metrics_token": TOKEN}
        with fresh_service(postgres, place, more_environment=environment, **changes) as service:
            ports["paraqueue-api"] = service.settings.port
            with running_prometheus(ports, place / "prometheus") as prometheus:
                yield _played(service, collector, prometheus)


def _played(service: Service, collector: Collector, prometheus: str | None) -> Scene:
    flower_port = free_port()
    celery = ("celery", "-A", "common.flower", "flower", "--address=127.0.0.1", f"--port={flower_port}")
    flower = service.start("flower", *celery)
    url = f"http://127.0.0.1:{flower_port}/healthcheck"
    wait_until(lambda: _answers(url), [flower], 60, "Flower did not answer")
    scene = Scene(service, collector, flower_port, prometheus, "", "")
    if prometheus is not None:  # a counter's growth is seen only from the first reading on
        wait_until(lambda: bool(ask(scene, ALL_UP)), [flower], 60, "Prometheus did not reach all processes")
    service.client.headers.update({"traceparent": CALLER, "X-Request-ID": REQUEST_ID})
    done = service.upload(SAMPLE, webhook_url=f"{collector.url}/hook")
    del service.client.headers["traceparent"], service.client.headers["X-Request-ID"]
    broken = service.place / "broken.mp3"
    broken.write_bytes(b"this is no audio" * 1000)
    failed = service.upload(broken, webhook_url=f"{collector.url}/hook")
    assert service.client.get("/v1/transcriptions/nothing").status_code == 404
    service.finished(done)
    assert service.wait(failed, lambda job: job["status"] == "failed")["error"]["code"] == "audio_not_decodable"
    collector.wait(lambda: len(collector.hooks) >= 2, "the webhooks")
    return replace(scene, done=done, failed=failed)


def named(spans: list[Seen], name: str) -> Seen:
    [span] = [item for item in spans if item.name == name]
    return span


def test_one_trace_from_the_request_to_the_webhook(scene: Scene) -> None:
    collector = scene.collector
    # Each process exports its spans in its own time.
    wanted = {"POST /v1/transcriptions", "transcribe", "deliver webhook"}
    collector.wait(lambda: wanted <= {item.name for item in collector.trace(TRACE)}, f"all of {wanted}")
    spans = collector.trace(TRACE)
    request = named(spans, "POST /v1/transcriptions")
    assert request.parent_id == CALLER.split("-")[2], "the caller's own span"
    assert (request.service, request.attributes["http.response.status_code"]) == ("paraqueue-api", 202)
    attempt = named(spans, "transcribe")
    assert (attempt.parent_id, attempt.service) == (request.span_id, "paraqueue-worker")
    assert attempt.attributes["paraqueue.job_id"] == scene.done
    assert attempt.attributes["paraqueue.outcome"] == "completed"
    stages = {name: named(spans, name) for name in ("fetching", "transcribing", "finishing")}
    assert {item.parent_id for item in stages.values()} == {attempt.span_id}
    inner = [item for item in spans if item.parent_id == stages["transcribing"].span_id]
    assert {item.name for item in inner} == {"decode", "vad", "recognise", "punctuate", "commit"}
    assert len([item for item in inner if item.name == "commit"]) >= 3, "one for each part"
    for item in inner:
        assert stages["transcribing"].began - 0.01 <= item.began <= item.ended <= stages["transcribing"].ended + 0.01
        if item.name != "commit":
            assert 0 <= item.attributes["paraqueue.busy_seconds"] <= item.ended - item.began + 0.01
    sent = named(spans, "deliver webhook")
    assert (sent.parent_id, sent.service) == (stages["finishing"].span_id, "paraqueue-light")
    assert sent.began >= stages["finishing"].began
    assert not [item.name for item in spans if item.failed]
    assert any(hook.get("traceparent") == f"00-{TRACE}-{sent.span_id}-01" for hook in scene.collector.hooks)


def test_what_failed_is_marked_and_says_no_more_than_a_code(scene: Scene) -> None:
    def attempts() -> list[Seen]:
        spans = [item for item in scene.collector.spans if item.attributes.get("paraqueue.job_id") == scene.failed]
        return [item for item in spans if item.name == "transcribe"]

    scene.collector.wait(lambda: len(attempts()) == 1, "the failed attempt")
    [attempt] = attempts()
    assert attempt.failed
    assert attempt.attributes["paraqueue.outcome"] == "failed"
    attributes = json.dumps([item.attributes for item in scene.collector.spans])
    for secret in (scene.service.client.headers["Authorization"], WEBHOOK_SECRET, "broken.mp3", TOKEN):
        assert secret not in attributes


def lines(scene: Scene, process: str, event: str) -> list[dict[str, Any]]:
    log = scene.service.children[process].log.read_text().splitlines()
    return [line for line in map(json.loads, filter(lambda item: item.startswith("{"), log)) if line["event"] == event]


def test_every_log_says_whose_work_it_is(scene: Scene) -> None:
    [request] = [line for line in lines(scene, "api", "request") if line["request_id"] == REQUEST_ID]
    assert request["trace_id"] == TRACE
    [ended] = [line for line in lines(scene, "worker", "attempt_ended") if line["job_id"] == scene.done]
    assert (ended["trace_id"], ended["request_id"]) == (TRACE, REQUEST_ID)
    sent = [line for line in lines(scene, "light", "webhook_delivered") if line.get("job_id") == scene.done]
    assert [line["trace_id"] for line in sent] == [TRACE]


def ask(scene: Scene, query: str) -> list[dict[str, Any]]:
    assert scene.prometheus is not None
    answer = CLIENT.get(f"{scene.prometheus}/api/v1/query", params={"query": query})
    body = answer.json()
    assert body["status"] == "success", f"{query}: {body}"
    return list(body["data"]["result"])


@pytest.fixture(scope="module")
def scraped(scene: Scene) -> Scene:
    """When Prometheus has read all processes after the last job."""
    if scene.prometheus is None:
        pytest.skip("there is no Prometheus here, and apt has none either; names are checked in test_alerts.py")
    seen = 'sum(increase(paraqueue_runs_ended_total{status="completed"}[5m])) > 0'
    sent = 'sum(paraqueue_webhook_deliveries_total{outcome="delivered"}) >= 2'
    until(
        lambda: ask(scene, ALL_UP) and ask(scene, seen) and ask(scene, sent),
        what=lambda: [ask(scene, query) for query in ("up", seen, sent)],
    )
    return scene


def test_each_query_suits_what_is_really_scraped(scraped: Scene) -> None:
    series: dict[str, set[str]] = {}
    for item in ask(scraped, '{job=~"paraqueue-.*"}'):
        series.setdefault(item["metric"]["__name__"], set()).update(item["metric"])
    for query in queries():
        if not query.where.startswith("alert "):
            # A rate needs two samples since the last job.
            until(partial(ask, scraped, query.filled()), what=f"{query.where} shows nothing")
        for name, labels in query.selectors():
            assert name in series, f"{query.where}: nothing exports {name}"
            assert labels <= series[name], f"{query.where}: {name} has {series[name]}"


def test_the_metrics_say_what_happened(scraped: Scene) -> None:
    def number(query: str) -> float:
        [sample] = ask(scraped, query)
        return float(sample["value"][1])

    assert number('sum(paraqueue_runs_ended_total{status="completed"})') == 1
    assert number('sum(paraqueue_runs_ended_total{error_code="audio_not_decodable"})') == 1
    assert number('sum(paraqueue_jobs_submitted_total{source="upload"})') == 2
    seconds = scraped.service.job(scraped.done)["audio_ms"] / 1000
    assert number("sum(paraqueue_audio_transcribed_seconds_total)") == pytest.approx(seconds)
    assert number("sum(paraqueue_audio_decoded_seconds_total)") == pytest.approx(seconds, abs=1)
    assert (
        0 < number("sum(paraqueue_engine_audio_seconds_total)") <= number("sum(paraqueue_engine_padded_seconds_total)")
    )
    assert number('paraqueue_attempt_stage_seconds_count{stage="recognise"}') == 1
    assert number("sum(paraqueue_http_request_body_bytes_total)") > SAMPLE.stat().st_size
    # On a busy machine, a scrape may find a worker that has not reported for a while.
    until(lambda: number('paraqueue_workers{state="ready"}') == 1, what="the worker is not shown as ready")
    total, free, ours = (
        number(f'paraqueue_device_memory_bytes{{kind="{kind}"}}') for kind in ("total", "free", "ours")
    )
    assert total > free > 0
    assert total > ours > 50e6


def test_no_alert_fires_on_a_service_that_is_well(scraped: Scene) -> None:
    rules = httpx.get(f"{scraped.prometheus}/api/v1/rules", timeout=30, trust_env=False).json()["data"]["groups"]
    alert_rules = [rule for group in rules for rule in group["rules"]]
    assert len(alert_rules) > 15
    assert {rule["health"] for rule in alert_rules} == {"ok"}
    assert not [rule["name"] for rule in alert_rules if rule["state"] == "firing"]


def test_workers_ask_for_the_token_too(scene: Scene) -> None:
    for name in ("worker", "light"):
        url = f"http://127.0.0.1:{scene.service.more_environment[name]['PARAQUEUE_METRICS_PORT']}"
        assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 401
        with_token = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{url}/metrics", headers=with_token, trust_env=False).status_code == 200
        assert httpx.get(f"{url}/", headers=with_token, trust_env=False).status_code == 404


def test_flower_asks_who_you_are_and_names_tasks_and_jobs(scene: Scene) -> None:
    url = f"http://127.0.0.1:{scene.flower_port}"
    for path in ("/", "/api/tasks", "/api/workers", "/tasks", "/metrics", "/static/css/flower.css", "/login"):
        assert httpx.get(url + path, trust_env=False).status_code == 401, path
        assert httpx.get(url + path, auth=("paraqueue", "wrong"), trust_env=False).status_code == 401, path

    def tasks() -> dict[str, dict[str, Any]]:
        answer = httpx.get(f"{url}/api/tasks", auth=FLOWER, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def named() -> set[str]:
        return {
            task["args"].strip("()',[]") for task in tasks().values() if task["name"] == TRANSCRIBE and task["args"]
        }

    until(lambda: {scene.done, scene.failed} <= named(), what=tasks)
    assert SWEEP in {task["name"] for task in tasks().values()}
    states = {
        task["args"].strip("()',[]"): (task["state"], task["exception"])
        for task in tasks().values()
        if task["name"] == TRANSCRIBE
    }
    assert states[scene.done] == ("SUCCESS", None)
    assert states[scene.failed] == ("FAILURE", "AttemptFailed('failed')")
