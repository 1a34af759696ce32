"""Values that only a machine would send: moments beyond the calendar, numbers beyond 32 bits, half characters."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of, shared_api
from tests.db.job_cases import completed, execute, uploaded
from tests.db.webhook_cases import KEY

MOMENTS = [
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "2026-01-01T00:00:00",
    "1e400",
    "2026-02-30T00:00:00Z",
]


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), secret_key=KEY) as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Api:
    execute(shared.database, "DELETE FROM webhook_endpoints; DELETE FROM deliveries")
    return shared.emptied()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_that_is_none_is_refused_everywhere(api: Api, moment: str) -> None:
    webhook = api.client.post("/v1/webhooks", json={"url": "https://e.com/hook"}).json()["id"]
    answers = [
        api.client.post("/v1/keys", json={"name": "a", "expires_at": moment}),
        api.client.post(f"/v1/webhooks/{webhook}/replay", json={"since": moment}),
        *[api.get("", params={name: moment}) for name in ("created_from", "created_to")],
        *[api.client.get("/v1/usage", params={name: moment}) for name in ("from", "to")],
    ]
    for answer in answers:
        problem_of(answer, 422, "invalid_request")


def test_an_offset_that_postgresql_does_not_know_is_read_in_utc(api: Api) -> None:
    made = api.client.post("/v1/keys", json={"name": "a", "expires_at": "2100-01-01T00:00:00+23:59"})
    assert made.json()["expires_at"] == "2099-12-31T00:01:00Z"
    assert api.get("", params={"created_from": "2026-01-01T00:00:00+23:59"}).status_code == 200


@pytest.mark.parametrize(
    "position", ["1.2147483648", "2147483648.0", "1." + "9" * 60, "1.-5", "1.²", "٣.٣", "1.2147483647", ""]
)
def test_a_stream_goes_on_behind_any_last_event_id(api: Api, position: str) -> None:
    job = uploaded(api.database, api.storage)
    api.client.post(f"/v1/transcriptions/{job.public_id}/cancel")
    headers = {"Last-Event-ID": position.encode()}
    answer = api.get(f"/{job.public_id}/events", headers=headers)
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith('data: {"status": "canceled"}'), answer.text[-200:]


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00+23:59"]
)
@pytest.mark.parametrize("path", ["/v1/transcriptions", "/v1/batches", "/v1/webhooks/deliveries", "/v1/keys"])
def test_a_cursor_of_somebody_else(api: Api, path: str, moment: str) -> None:
    cursor = base64.urlsafe_b64encode(f"{moment}|{'0' * 32}".encode()).decode().rstrip("=")
    assert api.client.get(path, params={"after": cursor}).status_code in (200, 422)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "60.1"])
def test_a_wait_that_is_no_number(api: Api, value: str) -> None:
    job = uploaded(api.database, api.storage)
    problem_of(api.get(f"/{job.public_id}", params={"wait": value}), 422, "invalid_request")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/keys", b'{"name": "a", "\\ud800": 1}'),
        ("/v1/keys", b'{"name": "\\ud800"}'),
        ("/v1/transcriptions", b'{"audio_url": "https://e.com/a", "\\ud800": 1}'),
        ("/v1/batches", b'{"audio_urls": ["https://e.com/\\ud800"]}'),
        ("/v1/keys/{key}/rotate", b'{"grace_hours": NaN}'),
        ("/v1/keys/{key}/rotate", b'{"grace_hours": 1e999}'),
        ("/v1/webhooks/{webhook}/rotate", b'{"overlap_hours": NaN}'),
        ("/v1/keys", b'{"name": "a", "limits": {"max_queued": 1e999}}'),
        ("/v1/uploads/presigned", b'{"bytes": 99999999999999999999999999}'),
    ],
)
def test_json_that_python_reads_and_nobody_should(api: Api, path: str, body: bytes) -> None:
    names: dict[str, Any] = {
        "key": api.client.post("/v1/keys", json={"name": "a"}).json()["id"],
        "webhook": api.client.post("/v1/webhooks", json={"url": "https://e.com/hook"}).json()["id"],
    }
    answer = api.client.post(path.format(**names), content=body, headers={"Content-Type": "application/json"})
    problem_of(answer, 422, "invalid_request")


@pytest.mark.parametrize("number", ["0_0", "+0", "-0.0", "0.0", "00", "%200", "0%0A", "%EF%BC%90"])
def test_only_an_integer_of_json_is_the_number_of_a_sentence(api: Api, number: str) -> None:
    job = completed(api.database).public_id
    for call in (
        api.client.patch(f"/v1/transcriptions/{job}/sentences/{number}", json={"text": "好。"}),
        api.client.get(f"/v1/transcriptions/{job}/sentences/{number}"),
        api.client.get(f"/v1/transcriptions/{job}/sentences?after={number}"),
    ):
        problem_of(call, 422, "invalid_request")
    assert "edit" not in api.client.get(f"/v1/transcriptions/{job}/sentences/0").json()
