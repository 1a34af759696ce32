"""Each process names the variables that look like settings but are none, when it starts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dev.process import free_port, spawn
from dev.stack import REPOSITORY
from tests.waiting import until

STOP_SECONDS = 40.0


@pytest.mark.parametrize(
    ("module", "service"), [("api.main", "api"), ("worker.light", "light"), ("worker.transcription", "worker")]
)
def test_a_process_warns_of_unknown_settings(
    module: str, service: str, environment: dict[str, str], tmp_path: Path
) -> None:
    environment |= {"PARAQUEUE_PORT": str(free_port())}
    given = {"PARAQUEUE_API_KEY": "of-a-client", "PARAQUEUE_MODLE": "secret-value", "PARAQUEUE_XYZZY": "secret-value"}
    child = spawn(service, [sys.executable, "-m", module], tmp_path / "log", env=environment | given, cwd=REPOSITORY)

    def warnings() -> list[dict[str, Any]]:
        lines = [line for line in child.log.read_text().splitlines(keepends=True) if "unknown_setting" in line]
        return [json.loads(line) for line in lines if line.endswith("\n")]

    try:
        until(lambda: len(warnings()) == 2 or not child.running, 120, child.log.read_text)
    finally:
        child.stop(STOP_SECONDS)
    assert "secret-value" not in child.log.read_text()
    assert [(line["variable"], line["nearest"]) for line in warnings()] == [
        ("PARAQUEUE_MODLE", "PARAQUEUE_MODEL"),
        ("PARAQUEUE_XYZZY", None),
    ]
    assert {(line["level"], line["service"]) for line in warnings()} == {("warning", service)}
