"""`docs/webhooks.md` says what the code does."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from api.webhooks.routes import router
from api.webhooks.schemas import WebhookCreate
from common import webhooks
from common.settings import Settings
from common.webhooks import EventType
from dev.stack import REPOSITORY
from worker.light.sender import RetrySchedule, signed_headers

PAGE = (REPOSITORY / "docs" / "webhooks.md").read_text()
UNITS = {"h": 3600, "min": 60, "s": 1}


def seconds(duration: str) -> int:
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+) (h|min|s)\b", duration))


def test_the_table_of_tries_is_the_plan() -> None:
    pauses: list[float] = []
    for first, last, duration in re.findall(r"^\| (\d+)(?: to (\d+))? \| ([\d hmins]+?)(?: each)? \|$", PAGE, re.M):
        pauses += [seconds(duration)] * (int(last or first) - int(first) + 1)
    settings = Settings()
    plan = RetrySchedule(settings.webhook_retry_base_seconds, settings.webhook_retry_hours * 3600)
    assert pauses == [0, *plan.pauses()]
    assert f"up to {plan.longest_seconds / 3600:.0f} h" in PAGE
    assert f"attempted only {plan.PROGRESS_TRIES} times" in re.sub(r"\s+", " ", PAGE)
    assert f"within {settings.webhook_timeout_seconds:.0f} seconds" in PAGE


def test_every_event_is_told() -> None:
    assert set(re.findall(r"^\| `((?:transcription|batch)\.\w+)`", PAGE, re.M)) == {event.value for event in EventType}


def test_the_curl_example_is_accepted() -> None:
    body = re.search(r"-d '(.*?)'", PAGE)
    assert body is not None
    assert WebhookCreate.model_validate_json(body[1]).description == "archive"


def test_the_python_example_verifies() -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    secret, body = webhooks.new_secret(), json.dumps({"type": "transcription.completed"})
    headers = signed_headers("dl_1", body, [secret], datetime.now(UTC))
    assert names["receive"](body.encode(), headers, secret) == {"type": "transcription.completed"}
    assert names["receive"](body.encode() + b" ", headers, secret) is None
    assert names["receive"](body.encode(), headers, webhooks.new_secret()) is None


@pytest.mark.parametrize("path", re.findall(r"`(?:GET|POST) (/v1/webhooks[^`?]*)", PAGE))
def test_every_call_of_the_page_exists(path: str) -> None:
    known = {re.sub(r"\{\w+\}", "{id}", route.path) for route in router.routes}  # type: ignore[attr-defined]
    assert path in known
