"""The alert rules and the dashboard: the metrics they name exist, and each alert fires when it should.

`tests/e2e/test_operations.py` queries a real Prometheus that scrapes a real service.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, Histogram

from common.errors import all_errors
from common.job_states import Status
from dev.stack import REPOSITORY
from docs.metrics_page import families, labels_of, name_of
from tests.queries import DASHBOARD, MATCHER, RULES, SCRAPING, Query, alerts, panels, queries

OF_PROMETHEUS = {"job", "instance"}
SEVERITIES = {"critical", "warning", "info"}
RUNBOOK = (REPOSITORY / "docs" / "alerts.md").read_text("utf-8")
API, WORKER, LIGHT = '{job="paraqueue-api"}', '{job="paraqueue-worker"}', '{job="paraqueue-light"}'
M = 'model="m"'
Series = dict[str, str]

# Values for which each alert fires and does not fire: a value per minute, evaluated after half an hour.
CASES: dict[str, tuple[Series, Series]] = {
    "ParaqueueApiDown": ({f"up{API}": "0x60"}, {f"up{API}": "1x60"}),
    "ParaqueueApiMissing": ({f"up{WORKER}": "1x60"}, {f"up{API}": "0x60"}),
    "ParaqueueDatabaseDown": (
        {'paraqueue_database_up{instance="a"}': "0x60", 'paraqueue_database_up{instance="b"}': "0x60"},
        {'paraqueue_database_up{instance="a"}': "0x60", 'paraqueue_database_up{instance="b"}': "1x60"},
    ),
    "ParaqueueRedisDown": ({"paraqueue_redis_up": "0x60"}, {"paraqueue_redis_up": "1x60"}),
    "ParaqueueServerErrors": (
        {
            'paraqueue_http_requests_total{status="200"}': "0+90x60",
            'paraqueue_http_requests_total{status="503"}': "0+10x60",
        },
        {
            'paraqueue_http_requests_total{status="200"}': "0+990x60",
            'paraqueue_http_requests_total{status="503"}': "0+10x60",
        },
    ),
    "ParaqueuePoolExhausted": (
        {"paraqueue_database_pool_timeouts_total": "0+1x60"},
        {"paraqueue_database_pool_timeouts_total": "7x60"},
    ),
    "ParaqueueNoWorker": (
        {f'paraqueue_queue_jobs{{{M},priority="5"}}': "3x60", f"paraqueue_slots{{{M}}}": "0x60"},
        {f'paraqueue_queue_jobs{{{M},priority="5"}}': "0x60", f"paraqueue_slots{{{M}}}": "0x60"},
    ),
    "ParaqueueQueueOld": (
        {f'paraqueue_queue_oldest_seconds{{{M},priority="5"}}': "60+60x60"},
        {f'paraqueue_queue_oldest_seconds{{{M},priority="0"}}': "60+600x60"},
    ),
    "ParaqueueUrgentQueueOld": (
        {f'paraqueue_queue_oldest_seconds{{{M},priority="9"}}': "60+60x60"},
        {f'paraqueue_queue_oldest_seconds{{{M},priority="9"}}': "200x60"},
    ),
    "ParaqueueSweepMissing": (
        {'paraqueue_sweep_steps_total{outcome="done"}': "100x60"},
        {'paraqueue_sweep_steps_total{outcome="done"}': "0+6x60"},
    ),
    "ParaqueueManyFailures": (
        {
            f'paraqueue_runs_ended_total{{{M},status="completed"}}': "0+3x60",
            f'paraqueue_runs_ended_total{{{M},status="failed"}}': "0+1x60",
        },
        {
            f'paraqueue_runs_ended_total{{{M},status="completed"}}': "0+9x60",
            f'paraqueue_runs_ended_total{{{M},status="failed"}}': "0+1x60",
        },
    ),
    "ParaqueueOwnFailures": (
        {'paraqueue_attempts_total{error_code="internal"}': "0+1x60"},
        {'paraqueue_attempts_total{error_code="audio_empty"}': "0+1x60"},
    ),
    "ParaqueuePoison": (
        {'paraqueue_runs_ended_total{status="failed",error_code="poison"}': "0x20 1x40"},
        {'paraqueue_runs_ended_total{status="failed",error_code="poison"}': "1x60"},
    ),
    "ParaqueueLeasesLost": (
        {'paraqueue_leases_expired_total{status="queued"}': "0+1x60"},
        {'paraqueue_leases_expired_total{status="queued"}': "0x20 1x40"},
    ),
    "ParaqueueStorageFailing": (
        {'paraqueue_http_errors_total{code="storage_full"}': "0+1x60"},
        {'paraqueue_http_errors_total{code="not_found"}': "0+1x60"},
    ),
    "ParaqueueScratchFull": (
        {f"paraqueue_scratch_free_bytes{WORKER}": "4e9x60"},
        {f"paraqueue_scratch_free_bytes{WORKER}": "9e9x60"},
    ),
    "ParaqueueDeviceMemory": (
        {f"paraqueue_engine_out_of_memory_total{WORKER}": "0+1x60"},
        {f"paraqueue_engine_out_of_memory_total{WORKER}": "0x20 1x40"},
    ),
    "ParaqueueDeviceMemoryLow": (
        {'paraqueue_device_memory_bytes{kind="free"}': "1x60", 'paraqueue_device_memory_bytes{kind="total"}': "80x60"},
        {'paraqueue_device_memory_bytes{kind="free"}': "8x60", 'paraqueue_device_memory_bytes{kind="total"}': "80x60"},
    ),
    "ParaqueueWebhooksLate": (
        {"paraqueue_webhook_lag_seconds": "60+60x60"},
        {"paraqueue_webhook_lag_seconds": "20x60"},
    ),
    "ParaqueueWebhooksFailing": (
        {
            'paraqueue_webhook_deliveries_total{outcome="delivered"}': "0+1x60",
            'paraqueue_webhook_deliveries_total{outcome="retrying"}': "0+2x60",
        },
        {
            'paraqueue_webhook_deliveries_total{outcome="delivered"}': "0+2x60",
            'paraqueue_webhook_deliveries_total{outcome="retrying"}': "0+1x60",
        },
    ),
    "ParaqueueWebhooksDead": (
        {'paraqueue_webhook_deliveries_total{outcome="dead"}': "0x20 1x40"},
        {'paraqueue_webhook_deliveries_total{outcome="dead"}': "1x60"},
    ),
}


def exported() -> dict[str, set[str]]:
    """Each series of the project and of the library, with its labels."""
    series: dict[str, set[str]] = {}
    for family in (item for section in families().values() for item in section):
        labels = set(labels_of(family)) | OF_PROMETHEUS
        names = [name_of(family)]
        if isinstance(family, Histogram):
            names = [f"{names[0]}{ending}" for ending in ("_bucket", "_sum", "_count")]
            labels |= {"le"}
        series |= dict.fromkeys(names, labels)
    library = {sample.name for item in REGISTRY.collect() for sample in item.samples if item.name[:9] != "paraqueue"}
    return series | dict.fromkeys({*library, "up"}, OF_PROMETHEUS)


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.where)
def test_names_and_labels_are_exported(query: Query) -> None:
    known = exported()
    assert query.selectors()
    for name, labels in query.selectors():
        assert labels <= known[name], f"{name} has no such labels"
    assert query.groupings() <= {label for name, _ in query.selectors() for label in known[name]}


def test_a_name_that_is_not_exported_would_be_noticed() -> None:
    [(name, labels)] = Query("x", 'sum by (model) (rate(paraqueue_no_such_total{kind="a"}[5m]))').selectors()
    assert name not in exported()
    assert labels == {"kind"}


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.where)
def test_values_of_labels_can_occur(query: Query) -> None:
    codes = [error.code for error in all_errors()]
    known = {"error_code": codes, "code": codes, "status": [*[item.value for item in Status], "200", "503"]}
    for label, pattern in MATCHER.findall(query.text):
        for value in [] if label not in known else pattern.split("|"):
            assert any(re.fullmatch(value, code) for code in known[label]), f"{label} is never {value}"


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in SEVERITIES
    assert len(rule["annotations"]["summary"]) > 15
    assert len(rule["annotations"]["description"]) > 80
    assert f"| `{rule['alert']}` |" in RUNBOOK, "missing in docs/alerts.md"


def test_the_runbook_tells_of_no_other_alert() -> None:
    assert set(re.findall(r"^\| `(Paraqueue\w+)` \|", RUNBOOK, re.MULTILINE)) == {rule["alert"] for rule in alerts()}
    assert set(CASES) == {rule["alert"] for rule in alerts()}


def promtool() -> str:
    completed = subprocess.run([REPOSITORY / "dev" / "prometheus.sh"], capture_output=True, text=True)
    if completed.returncode != 0:
        pytest.skip(f"there is no promtool here, and apt has none either: {completed.stderr}")
    return f"{completed.stdout.strip()}/promtool"


def case(alert: str, series: Series, firing: int) -> dict[str, Any]:
    expected = [{"labels": "{}", "value": firing}] if firing else []
    # At the same moment as a rule is evaluated ALERTS may still be that of the moment before.
    query = f'count(count by (alertname) (ALERTS{{alertname="{alert}",alertstate="firing"}}))'
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "40m", "exp_samples": expected}],
    }


def test_each_alert_fires_when_it_should_and_else_not(tmp_path: Path) -> None:
    tests = [case(alert, bad, 1) for alert, (bad, _) in CASES.items()]
    tests += [case(alert, good, 0) for alert, (_, good) in CASES.items()]
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document))
    ran = subprocess.run([promtool(), "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_finds_nothing_wrong() -> None:
    for kind, file in (("rules", RULES), ("config", SCRAPING)):
        ran = subprocess.run([promtool(), "check", kind, file], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    assert board["uid"] == "paraqueue"
    assert {item["name"] for item in board["templating"]["list"]} == {
        "datasource",
        "model",
    }
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers)) > 30
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24, f"{panel['title']} lies on another panel"
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
