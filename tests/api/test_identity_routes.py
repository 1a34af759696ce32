"""Keys, usage and sessions over HTTP; headers for browsers; a service without authentication."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.auth import identities, sessions
from common import keys
from common.keys import ALL_SCOPES, ApiKey, NewKey, Scope
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from dev.valkey import Valkey
from tests.api.api_cases import Api, api_settings, problem_of, running_api, shared_api
from tests.db.job_cases import execute, uploaded
from tests.db.webhook_cases import KEY

PAGE = "https://app.example.com"


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), secret_key=KEY, cors_origins=PAGE) as api:
        yield api


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    return shared.emptied()


def admin_of(api: Api, tenant: str) -> dict[str, str]:
    _, secret = keys.create(api.database, NewKey("admin", tenant, ALL_SCOPES))
    return bearer(secret)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_key_from_its_making_to_its_end(api: Api) -> None:
    body = {"name": "reports", "scopes": ["read"], "limits": {"max_queued": 7}}
    made = api.client.post("/v1/keys", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert (key["tenant"], key["scopes"], key["limits"]["max_queued"]) == ("default", ["read"], 7)
    path = f"/v1/keys/{key['id']}"
    assert made.headers["location"].endswith(path)
    assert key["key"].startswith(key["hint"])
    assert api.client.get("/v1/transcriptions", headers=bearer(key["key"])).status_code == 200
    responses = api.client.get("/v1/keys").text + api.client.get(path).text
    assert key["key"] not in responses
    assert api.client.get(path).json()["last_used_at"]

    rotated = api.client.post(f"{path}/rotate", json={"grace_hours": 1}).json()
    assert rotated["key"] != key["key"]
    assert rotated["previous_until"]
    for secret in (key["key"], rotated["key"]):
        assert api.client.get("/v1/transcriptions", headers=bearer(secret)).status_code == 200
    assert api.client.delete(path).status_code == 204
    for secret in (key["key"], rotated["key"]):
        problem_of(api.client.get("/v1/transcriptions", headers=bearer(secret)), 401, "unauthenticated")
    assert api.client.get(path).json()["revoked_at"]
    problem_of(api.client.post(f"{path}/rotate"), 409, "wrong_state")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a\n"},
        {"name": "a", "scopes": []},
        {"name": "a", "scopes": ["everything"]},
        {"name": "a", "tenant": "Not One"},
        {"name": "a", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "a", "expires_at": "2120-01-01T00:00:00"},
        {"name": "a", "limits": {"max_queued": -1}},
        {"name": "a", "hash": "x"},
    ],
    ids=str,
)
def test_a_key_that_cannot_be(api: Api, wrong: dict[str, Any]) -> None:
    problem_of(api.client.post("/v1/keys", json=wrong), 422, "invalid_request")


def test_admins_of_tenants_and_the_operator(api: Api) -> None:
    acme = admin_of(api, "acme")
    problem_of(api.client.post("/v1/keys", json={"name": "a", "tenant": "other"}, headers=acme), 403, "forbidden")
    assert api.client.post("/v1/keys", json={"name": "a"}, headers=acme).json()["tenant"] == "acme"
    other = api.client.post("/v1/keys", json={"name": "b", "tenant": "other"})
    assert other.json()["tenant"] == "other", "the operator makes keys for anybody"
    assert {key["tenant"] for key in api.client.get("/v1/keys", headers=acme).json()["data"]} == {"acme"}
    assert {key["tenant"] for key in api.client.get("/v1/keys").json()["data"]} == {"default", "acme", "other"}


def booked(api: Api, key: ApiKey, tags: str, status: str, code: str | None, day: int) -> None:
    error_code = f"'{code}'" if code else "NULL"
    execute(
        api.database,
        "INSERT INTO usage (job_id, run, ended_at, tenant, key_id, model, tags, status, error_code, audio_ms, "
        f"processing_ms) VALUES (gen_random_uuid(), 1, '2026-03-0{day}T23:30:00Z', '{key.tenant}', '{key.id}', "
        f"'demo-zh', '{tags}', '{status}', {error_code}, 90000, 1500)",
    )


def test_usage_by_key_day_and_tag_as_json_and_csv(api: Api) -> None:
    key, secret = keys.create(api.database, NewKey("calls", "acme", frozenset({Scope.READ})))
    theirs, _ = keys.create(api.database, NewKey("other", "other"))
    booked(api, key, "{board,=cmd}", "completed", None, 1)
    booked(api, key, "{board}", "failed", "audio_empty", 2)
    booked(api, theirs, "{board}", "completed", None, 2)
    span = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
    [whole] = api.client.get("/v1/usage", params=span, headers=bearer(secret)).json()["data"]
    assert (whole["jobs"], whole["completed"], whole["failed"], whole["failures"]) == (2, 1, 1, {"audio_empty": 1})
    assert (whole["audio_minutes"], whole["processing_seconds"], whole["key_id"]) == (3.0, 3.0, None)
    by = {**span, "group_by": "key,day"}
    days = api.client.get("/v1/usage", params=by, headers=bearer(secret)).json()["data"]
    assert [(item["key_id"], item["key_name"], item["day"]) for item in days] == [
        (key.public_id, "calls", "2026-03-01"),
        (key.public_id, "calls", "2026-03-02"),
    ]
    for ask in ({"params": {**span, "group_by": "tag", "format": "csv"}}, {"params": {**span, "group_by": "tag"}}):
        headers = bearer(secret) | ({} if "format" in ask["params"] else {"Accept": "text/csv"})
        answer = api.client.get("/v1/usage", headers=headers, **ask)  # type: ignore[arg-type]
        assert answer.headers["content-type"].startswith("text/csv")
        rows = {row["tag"]: row for row in csv.DictReader(io.StringIO(answer.text))}
        assert set(rows) == {"board", "'=cmd"}, "a spreadsheet must not run a tag"
        assert (rows["board"]["jobs"], rows["board"]["failures"]) == ("2", '{"audio_empty": 1}')
    problem_of(api.client.get("/v1/usage?group_by=colour", headers=bearer(secret)), 422, "invalid_request")
    everybody: dict[str, str | bool] = {**span, "group_by": "tenant", "all_tenants": True}
    problem_of(api.client.get("/v1/usage", params=everybody, headers=bearer(secret)), 403, "forbidden")
    assert {item["tenant"] for item in api.client.get("/v1/usage", params=everybody).json()["data"]} == {
        "acme",
        "other",
    }


@pytest.fixture
def browser(api: Api) -> Iterator[httpx.Client]:
    """A client that sends no key, and keeps cookies."""
    with httpx.Client(base_url=api.client.base_url, trust_env=False, timeout=30) as client:
        yield client


def test_a_session_reads_with_its_cookie_and_changes_with_its_token(api: Api, browser: httpx.Client) -> None:
    key, secret = keys.create(api.database, NewKey("anna", "acme", ALL_SCOPES))
    begun = browser.post("/v1/session", headers=bearer(secret))
    assert begun.status_code == 201, begun.text
    cookies = {line.partition("=")[0]: line.lower() for line in begun.headers.get_list("set-cookie")}
    assert "httponly" in cookies[sessions.COOKIE]
    assert "samesite=strict" in cookies[sessions.COOKIE]
    assert "httponly" not in cookies[sessions.CSRF_COOKIE]
    assert "secure" not in cookies[sessions.COOKIE]
    assert secret not in begun.text
    assert secret not in str(cookies)
    job = uploaded(api.database, api.storage, tenant="acme")
    path = f"/v1/transcriptions/{job.public_id}"
    assert browser.get(path).json()["id"] == job.public_id
    with browser.stream("GET", f"{path}/events") as events:
        assert next(events.iter_lines()).startswith("retry")
    for token in ({}, {"X-CSRF-Token": "wrong"}):
        problem_of(browser.post(f"{path}/cancel", headers=token), 403, "forbidden")
    token = {"X-CSRF-Token": begun.json()["csrf_token"]}
    assert browser.cookies[sessions.CSRF_COOKIE] == token["X-CSRF-Token"]
    assert browser.post(f"{path}/cancel", headers=token).status_code == 202
    keys.revoke(api.database, key.id)
    problem_of(browser.get(path), 401, "unauthenticated")


def test_a_session_ends(api: Api, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = keys.create(api.database, NewKey("anna", "acme", ALL_SCOPES))
    token = {"X-CSRF-Token": browser.post("/v1/session", headers=bearer(secret)).json()["csrf_token"]}
    cookie = browser.cookies[sessions.COOKIE]
    assert browser.delete("/v1/session", headers=token).status_code == 204
    assert not browser.cookies
    problem_of(browser.get("/v1/models"), 401, "unauthenticated")
    headers = {"Cookie": f"{sessions.COOKIE}={cookie[:-4]}"}
    problem_of(browser.get("/v1/models", headers=headers), 401, "unauthenticated")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 13 * 3600)
    late = browser.get("/v1/models", headers={"Cookie": f"{sessions.COOKIE}={cookie}"})
    assert "expired" in problem_of(late, 401, "unauthenticated")["detail"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/health/live", "/docs", "/openapi.json"])
def test_every_answer_tells_browsers_to_be_careful(api: Api, path: str) -> None:
    headers = api.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert ("script-src" in policy) == (path == "/docs")
    problem_of(httpx.get(f"{api.client.base_url}/v1/models"), 401, "unauthenticated")
    assert httpx.get(f"{api.client.base_url}/v1/models").headers["x-content-type-options"] == "nosniff"


def test_only_pages_of_the_settings_may_call(api: Api, database_url: str, redis_url: str, tmp_path: Path) -> None:
    def preflight(client: httpx.Client, origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = client.options("/v1/transcriptions", headers=headers)
        allowed: str | None = answer.headers.get("access-control-allow-origin")
        return allowed

    assert preflight(api.client, PAGE) == PAGE
    assert preflight(api.client, "https://evil.example.com") is None
    with running_api(api_settings(database_url, redis_url, tmp_path)) as closed:
        assert preflight(closed.client, PAGE) is None


def test_without_authentication_only_this_machine_calls(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with running_api(api_settings(database_url, redis_url, tmp_path, auth="off")) as api:
        url = f"{api.client.base_url}/v1/transcriptions"
        assert httpx.get(url).json()["data"] == []
        assert httpx.post(url, json={"audio_url": "https://e.com/a.mp3"}).status_code == 202
        for headers in ({"Host": "evil.example.com"}, {"Origin": "https://evil.example.com"}):
            problem_of(httpx.get(url, headers=headers), 403, "forbidden")


def test_an_open_service_on_an_open_address_does_not_start() -> None:
    environment = dict(os.environ) | {"PARAQUEUE_AUTH": "off", "PARAQUEUE_HOST": "0.0.0.0"}
    command = [sys.executable, "-m", "api.main"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "PARAQUEUE_AUTH=off" in done.stderr
    assert len(done.stderr.splitlines()) == 1
