"""Verifying webhooks, against the library that signs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from paraqueue.webhooks import UnverifiedWebhook, verify_webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"type": "transcription.completed", "timestamp": "2026-11-22T20:00:00Z", "data": {"id": "tr_1"}})


def signed(body: str = BODY, *, age: timedelta = timedelta()) -> dict[str, str]:
    when = datetime.now(tz=UTC) - age
    signature = Webhook(SECRET).sign("msg_1", when, body)
    return {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(when.timestamp())),
        "Webhook-Signature": signature,
    }


def test_what_the_service_signed_is_taken() -> None:
    event = verify_webhook(BODY.encode(), signed(), SECRET)
    assert (event.type, event.transcription_id) == ("transcription.completed", "tr_1")


def test_another_body_an_old_one_and_another_secret_are_refused() -> None:
    for body, headers, secret in (
        (BODY.replace("tr_1", "tr_2"), signed(), SECRET),
        (BODY, signed(age=timedelta(hours=1)), SECRET),
        (BODY, signed(), "whsec_" + "A" * 32),
    ):
        with pytest.raises(UnverifiedWebhook):
            verify_webhook(body, headers, secret)
