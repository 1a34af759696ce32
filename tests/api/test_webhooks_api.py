"""`/v1/webhooks` and `webhook_url`, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from common import jobs
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of, running_api, shared_api
from tests.db.job_cases import claimed, complete, execute, one, rows
from tests.db.webhook_cases import (
    KEY,
    OWN_SECRET,
    Receiver,
    deliver,
    status,
    without_webhooks,
)
from tests.servers import HttpServer

URL = "https://hooks.example.com/in"


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    changes = {"secret_key": SecretStr(KEY), "webhook_secret": SecretStr(OWN_SECRET)}
    allowed = {"fetch_allowed_private": ("127.0.0.1", "10.9.0.0/16")}
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), **changes, **allowed) as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Api:
    without_webhooks(shared.database)
    return shared.emptied()


@pytest.fixture
def receiver(http_server: HttpServer) -> Receiver:
    return Receiver(http_server)


def created(api: Api, url: str = URL, **more: Any) -> dict[str, Any]:
    answer = api.client.post("/v1/webhooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"].endswith(f"/v1/webhooks/{body['id']}")
    return body


def ended(api: Api, **options: Any) -> str:
    """The id of a job that was submitted over HTTP and has completed."""
    answer = api.submit_link(**options)
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    job = jobs.page(api.database, limit=1).jobs[0]
    complete(api.database, claimed(api.database, job))
    return str(job_id)


def test_the_secret_is_shown_once(api: Api) -> None:
    made = created(api, description="for the archive")
    assert made["id"].startswith("wh_")
    assert made["secret"].startswith("whsec_")
    assert made["events"] == [
        *(f"transcription.{end}" for end in ("completed", "failed", "canceled")),
        "batch.completed",
    ]
    without = {name: value for name, value in made.items() if name != "secret"}
    assert api.client.get(f"/v1/webhooks/{made['id']}").json() == without
    assert api.client.get("/v1/webhooks").json() == {"object": "list", "data": [without]}


def test_an_endpoint_is_changed_and_deleted(api: Api) -> None:
    path = f"/v1/webhooks/{created(api)['id']}"
    changes = {"url": "http://other.example.com/", "events": ["transcription.progress"], "description": "new"}
    changed = api.client.patch(path, json={**changes, "enabled": False}).json()
    assert {name: changed[name] for name in changes} == changes
    assert changed["enabled"] is False
    same = api.client.patch(path, json={"enabled": True, "url": None}).json()
    assert (same["url"], same["enabled"]) == (changes["url"], True)
    assert api.client.delete(path).status_code == 204
    for answer in (
        api.client.get(path),
        api.client.patch(path, json={}),
        api.client.delete(path),
        api.client.post(f"{path}/rotate"),
        api.client.post(f"{path}/test"),
        api.client.get(f"{path}/deliveries"),
        api.client.post(f"{path}/replay", json={"since": "2026-01-01T00:00:00Z"}),
        api.client.get("/v1/webhooks/tr_0123"),
        api.client.get("/v1/webhooks/deliveries/dl_0123"),
        api.client.post(f"/v1/webhooks/deliveries/dl_{'0' * 32}/replay"),
    ):
        problem_of(answer, 404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "ftp://example.com/"},
        {"url": "https://user:pass@example.com/"},
        {"url": "https:///path"},
        {"url": "https://example.com/a b"},
        {"url": f"https://example.com/{'a' * 2048}"},
        {"url": URL, "events": []},
        {"url": URL, "events": ["transcription.exploded"]},
        {"url": URL, "description": "\u0000"},
        {"url": URL, "secret": "whsec_mine"},
    ],
)
def test_what_is_not_an_endpoint_is_refused(api: Api, body: dict[str, Any]) -> None:
    problem_of(api.client.post("/v1/webhooks", json=body), 422, "invalid_request")


def test_there_is_a_limit_to_endpoints(api: Api) -> None:
    execute(
        api.database,
        "INSERT INTO webhook_endpoints (id, url, events, secret) "
        "SELECT gen_random_uuid(), 'https://x', '{}', '' FROM generate_series(1, 100)",
    )
    problem_of(api.client.post("/v1/webhooks", json={"url": URL}), 409, "too_many_webhooks")


def test_without_their_secrets_webhooks_are_refused(shared: Api) -> None:
    bare = shared.settings.model_copy(update={"secret_key": (), "webhook_secret": ()})
    with running_api(bare) as api:
        refused = problem_of(api.client.post("/v1/webhooks", json={"url": URL}), 422, "webhooks_not_configured")
        assert "PARAQUEUE_SECRET_KEY" in refused["detail"]
        for answer in (api.submit_link(webhook_url=URL), api.submit_file(webhook_url=URL)):
            refused = problem_of(answer, 422, "webhooks_not_configured")
            assert "PARAQUEUE_WEBHOOK_SECRET" in refused["detail"]
        assert api.get("").json()["data"] == []
        assert api.objects() == []


def test_a_job_has_its_own_url(api: Api) -> None:
    linked = api.submit_link(webhook_url=f"{URL}?token=abc", webhook_events=["transcription.failed"]).json()
    assert linked["webhook_url"] == URL
    file = api.submit_file(
        webhook_url=f"{URL}?token=abc", webhook_events="transcription.completed,transcription.progress"
    ).json()
    assert file["webhook_url"] == URL
    query = "SELECT webhook_url, webhook_events FROM jobs ORDER BY created_at"
    assert [tuple(row) for row in rows(api.database, query)] == [
        (f"{URL}?token=abc", ["transcription.failed"]),
        (f"{URL}?token=abc", ["transcription.completed", "transcription.progress"]),
    ]
    problem_of(api.submit_link(webhook_url="file:///etc/passwd"), 422, "invalid_request")
    problem_of(api.submit_link(webhook_events=["transcription.failed"]), 422, "invalid_request")
    problem_of(api.submit_link(webhook_url=URL, webhook_events=["nothing"]), 422, "invalid_request")


REFUSED = [
    "http://10.0.0.1/hook",
    "https://169.254.169.254/latest",
    "http://[::1]/",
    "http://0x7f.1/",
    "http://2130706434/",
    "http://localhost/hook",  # a name that resolves to loopback, of which only the literal 127.0.0.1 is allowed
    "http://8.8.8.8:22/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_a_receiver_that_no_delivery_would_reach_is_refused_at_once(api: Api, url: str) -> None:
    link = "https://example.com/a.mp3"
    made = created(api)
    for answer in (
        api.submit_link(webhook_url=url),
        api.submit_file(webhook_url=url),
        api.client.post("/v1/batches", json={"audio_urls": [link], "webhook_url": url}),
        api.client.post("/v1/webhooks", json={"url": url}),
        api.client.patch(f"/v1/webhooks/{made['id']}", json={"url": url}),
    ):
        refused = problem_of(answer, 422, "invalid_request")
        assert "port 22" in refused["detail"] if ":22" in url else "private address" in refused["detail"]
    assert api.get("").json()["data"] == []
    assert api.objects() == []


def test_a_receiver_that_the_operator_allows_or_that_cannot_be_resolved_yet_is_accepted(api: Api) -> None:
    for url in ("http://10.9.1.1:8000/hook", "https://8.8.8.8/", "https://no-such-host.invalid/hook"):
        assert api.submit_link(webhook_url=url).status_code == 202
        created(api, url)


def test_the_log_tells_what_became_of_each(api: Api, receiver: Receiver) -> None:
    made = created(api, receiver.url("hook", status(500, b"out of order")))
    url = receiver.url("own", status(200, b"ok"))
    first, second = ended(api, webhook_url=f"{url}?token=abc"), ended(api)
    deliver(api.database)
    log = api.client.get(f"/v1/webhooks/{made['id']}/deliveries").json()
    assert log["next"] is None
    assert [item["transcription_id"] for item in log["data"]] == [second, first]
    item = log["data"][0]
    assert item["type"] == "transcription.completed"
    assert (item["status"], item["attempts"], item["last_status"]) == ("pending", 1, 500)
    assert (item["last_error"], item["last_answer"]) == ("http_status", "out of order")
    assert item["next_attempt_at"] > item["last_attempt_at"]
    assert item["id"] in {message.id for message in receiver.to("hook")}
    own = api.client.get("/v1/webhooks/deliveries", params={"transcription_id": first, "status": "delivered"}).json()
    assert [(item["url"], item["webhook_id"], item["last_answer"]) for item in own["data"]] == [(url, None, "ok")]
    assert own["data"][0]["next_attempt_at"] is None
    assert api.client.get(f"/v1/webhooks/deliveries/{own['data'][0]['id']}").json() == own["data"][0]


def test_the_log_is_read_in_pages(api: Api) -> None:
    made = created(api)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    all_ids = [ended(api) for _ in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        page = api.client.get(path, params={"limit": 2} | ({"after": after} if after else {})).json()
        seen += [item["transcription_id"] for item in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert seen == all_ids[::-1]
    problem_of(api.client.get(path, params={"after": "x"}), 422, "invalid_request")
    problem_of(api.client.get(path, params={"status": "lost"}), 422, "invalid_request")


def test_rotate_test_and_replay(api: Api, receiver: Receiver) -> None:
    made = created(api, receiver.url("hook", status(200)))
    path = f"/v1/webhooks/{made['id']}"
    rotated = api.client.post(f"{path}/rotate", json={"overlap_hours": 1}).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] > rotated["updated_at"]
    tried = api.client.post(f"{path}/test")
    assert (tried.status_code, tried.json()["type"]) == (202, "webhook.test")
    deliver(api.database)
    (message,) = receiver.messages
    assert message.verified(made["secret"]) == message.verified(rotated["secret"])

    again = api.client.post(f"/v1/webhooks/deliveries/{tried.json()['id']}/replay")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    deliver(api.database)
    since = {"since": "2026-01-01T00:00:00+00:00"}
    assert api.client.post(f"{path}/replay", json=since).json() == {"replayed": 1}
    deliver(api.database)
    assert [message.id for message in receiver.messages] == [tried.json()["id"]] * 3

    problem_of(api.client.post(f"{path}/replay", json={"since": "2026-01-01T00:00:00"}), 422, "invalid_request")
    problem_of(api.client.post(f"{path}/rotate", json={"overlap_hours": -1}), 422, "invalid_request")
    api.client.patch(path, json={"enabled": False})
    problem_of(api.client.post(f"{path}/test"), 409, "wrong_state")
    problem_of(api.client.post(f"{path}/replay", json=since), 409, "wrong_state")


def test_a_delivery_of_a_deleted_transcription_cannot_be_replayed(api: Api) -> None:
    created(api)
    job_id = ended(api)
    assert api.client.delete(f"/v1/transcriptions/{job_id}").status_code == 204
    (left,) = api.client.get("/v1/webhooks/deliveries").json()["data"]
    assert (left["status"], left["last_error"], left["transcription_id"]) == ("dead", "job_deleted", None)
    problem_of(api.client.post(f"/v1/webhooks/deliveries/{left['id']}/replay"), 410, "expired")


def test_no_secret_is_stored_in_the_clear_or_shown_again(api: Api) -> None:
    made = created(api)
    api.client.post(f"/v1/webhooks/{made['id']}/test")
    secret = made["secret"].removeprefix("whsec_")
    shown = api.client.get("/v1/webhooks").text + api.client.get("/v1/webhooks/deliveries").text
    stored = one(api.database, "SELECT string_agg(encode(secret, 'escape'), ' ') FROM webhook_endpoints")
    assert secret not in shown + stored + json.dumps(stored)
