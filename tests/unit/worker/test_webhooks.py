"""The retry schedule, Retry-After, and the form and signature of messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from api.webhooks.schemas import EventName
from common import webhooks
from common.ids import new_id
from common.settings import Settings
from common.webhooks import ClaimedDelivery, EventType
from worker.light.sender import RetrySchedule, body_of, signed_headers
from worker.net.retry_after import retry_after

HOURS = 3600.0
PLAN = RetrySchedule(5, 72 * HOURS)
NOW = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)


def test_the_plan_of_the_default_settings() -> None:
    settings = Settings()
    plan = RetrySchedule(settings.webhook_retry_base_seconds, settings.webhook_retry_hours * HOURS)
    assert plan.pauses() == [5, 20, 80, 320, 1280, 5120, 20480] + [8 * HOURS] * 8
    assert 2.9 < sum(plan.pauses()) / (24 * HOURS) < 3.0


@given(
    base=st.floats(0.001, 1e5),
    whole=st.floats(0.01, 1e7),
    failures=st.integers(1, 60),
    jitter=st.floats(0, 1),
    retry_after_seconds=st.none() | st.floats(0, 1e12),
)
def test_every_plan_ends_and_every_pause_is_bounded(
    base: float, whole: float, failures: int, jitter: float, retry_after_seconds: float | None
) -> None:
    plan = RetrySchedule(base, whole)
    pauses = plan.pauses()
    assert sum(pauses) <= whole
    assert pauses == sorted(pauses)
    pause = plan.pause(EventType.COMPLETED, failures, retry_after=retry_after_seconds, jitter=jitter)
    assert (pause is None) == (failures > len(pauses))
    if pause is not None:
        assert 0.75 * pauses[failures - 1] <= pause <= 1.25 * plan.longest_seconds


def test_jitter_shifts_a_pause_and_retry_after_only_lengthens_it() -> None:
    first = [PLAN.pause(EventType.FAILED, 1, retry_after=None, jitter=jitter) for jitter in (0, 0.5, 1)]
    assert first == [3.75, 5, 6.25]
    assert PLAN.pause(EventType.FAILED, 1, retry_after=60, jitter=0.5) == 60
    assert PLAN.pause(EventType.FAILED, 4, retry_after=60, jitter=0.5) == 320


def test_old_progress_is_given_up_soon() -> None:
    tries = [PLAN.pause(EventType.PROGRESS, failures, retry_after=None, jitter=0.5) for failures in (1, 2, 3)]
    assert tries == [5, 20, None]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 0 ", 0),
        ("9" * 400, 999_999_999),
        ("Sun, 22 Nov 2026 18:05:00 GMT", 300),
        ("Sun, 22 Nov 2026 17:00:00 GMT", 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def parcel(**changes: object) -> ClaimedDelivery:
    values = {
        "id": new_id(),
        "lane": "wh_1",
        "attempt": 1,
        "failures": 0,
        "event": "transcription.completed",
        "created_at": NOW.astimezone(tz=None) + timedelta(microseconds=1),
        "url": "https://example.com/hook",
        "data": {"id": "tr_1", "tags": ["会议"], "links": {"self": "/v1/transcriptions/tr_1"}},
        "sealed_secrets": (),
    }
    return ClaimedDelivery(**values | changes)  # type: ignore[arg-type]


def test_the_body_has_absolute_links_only_where_the_address_is_known() -> None:
    known = json.loads(body_of(parcel(), "https://asr.example.com"))
    assert known["data"]["links"] == {"self": "https://asr.example.com/v1/transcriptions/tr_1"}
    unknown = json.loads(body_of(parcel(), None))
    assert unknown["data"]["links"] == {"self": "/v1/transcriptions/tr_1"}
    assert unknown["timestamp"] == "2026-11-22T18:00:00.000001+00:00"


def test_the_body_is_the_same_at_every_try() -> None:
    same = parcel()
    assert body_of(same, None) == body_of(same, None)


def test_a_message_is_signed_by_every_secret() -> None:
    secrets = [webhooks.new_secret(), webhooks.new_secret()]
    body = body_of(parcel(), None)
    headers = signed_headers("dl_1", body, secrets, datetime.now(UTC))
    for secret in secrets:
        assert Webhook(secret).verify(body, headers)["type"] == "transcription.completed"


def test_the_api_names_every_event() -> None:
    assert set(get_args(EventName)) == {event.value for event in EventType}
