"""Sessions of browsers: what ends them, and what cannot carry them on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api.auth import identities, sessions
from api.transcriptions import events
from common import keys
from common import sessions as ended_sessions
from common.keys import ALL_SCOPES, ApiKey, NewKey
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of, shared_api
from tests.db.job_cases import NO_LIMIT, one, uploaded
from tests.db.webhook_cases import KEY

HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), secret_key=KEY) as api:
        yield api


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    return shared.emptied()


@pytest.fixture
def browser(api: Api) -> Iterator[httpx.Client]:
    """A client that sends no key, and keeps cookies."""
    with httpx.Client(base_url=api.client.base_url, trust_env=False, timeout=30) as client:
        yield client


def signed_in(api: Api, browser: httpx.Client) -> tuple[ApiKey, dict[str, str]]:
    """A key with a session of the browser, and the header that changes need."""
    key, secret = keys.create(api.database, NewKey("anna", "acme", ALL_SCOPES))
    begun = browser.post("/v1/session", headers={"Authorization": f"Bearer {secret}"})
    assert begun.status_code == 201, begun.text
    return key, {"X-CSRF-Token": begun.json()["csrf_token"]}


def test_a_rotated_key_ends_its_sessions_when_the_old_secret_ends(api: Api, browser: httpx.Client) -> None:
    key, _ = signed_in(api, browser)
    keys.rotate(api.database, key.id, grace_seconds=3600)
    assert browser.get("/v1/models").status_code == 200, "the old secret works for an hour"
    keys.rotate(api.database, key.id, grace_seconds=0)
    problem_of(browser.get("/v1/models"), 401, "unauthenticated")


def test_a_copied_cookie_is_worth_nothing_after_sign_out(api: Api, browser: httpx.Client) -> None:
    _, token = signed_in(api, browser)
    copied = {"Cookie": f"{sessions.COOKIE}={browser.cookies[sessions.COOKIE]}"}
    url = f"{api.client.base_url}/v1/models"
    assert httpx.get(url, headers=copied, trust_env=False).status_code == 200
    assert browser.delete("/v1/session", headers=token).status_code == 204
    problem_of(httpx.get(url, headers=copied, trust_env=False), 401, "unauthenticated")
    assert one(api.database, "SELECT count(*) FROM ended_sessions") == 1


def test_what_was_ended_is_forgotten_when_it_would_be_over(api: Api) -> None:
    now = datetime.now(UTC)
    for hours in (-1, 1):
        ended_sessions.end(api.database, sessions.uuid.uuid4(), now + timedelta(hours=hours))
    before = one(api.database, "SELECT count(*) FROM ended_sessions")
    assert ended_sessions.expire(api.database, NO_LIMIT) == 1
    assert one(api.database, "SELECT count(*) FROM ended_sessions") == before - 1


def test_a_session_does_not_carry_itself_on(api: Api, browser: httpx.Client) -> None:
    _, token = signed_in(api, browser)
    problem_of(browser.post("/v1/session", headers=token), 403, "forbidden")
    assert browser.get("/v1/models").status_code == 200


def test_over_https_no_neighbour_can_plant_a_cookie(api: Api) -> None:
    _, secret = keys.create(api.database, NewKey("anna", "acme", ALL_SCOPES))
    begun = httpx.post(
        f"{api.client.base_url}/v1/session", headers={"Authorization": f"Bearer {secret}"} | HTTPS, trust_env=False
    )
    cookies = {line.partition("=")[0]: line for line in begun.headers.get_list("set-cookie")}
    assert set(cookies) == {f"__Host-{sessions.COOKIE}", f"__Host-{sessions.CSRF_COOKIE}"}
    for line in cookies.values():
        assert "Secure" in line and "Path=/" in line and "Domain" not in line
    value = cookies[f"__Host-{sessions.COOKIE}"].partition("=")[2].partition(";")[0]
    for name, status in ((f"__Host-{sessions.COOKIE}", 200), (sessions.COOKIE, 401)):
        headers = {"Cookie": f"{name}={value}"} | HTTPS
        assert httpx.get(f"{api.client.base_url}/v1/models", headers=headers, trust_env=False).status_code == status


@pytest.mark.parametrize("how", ["revoked", "signed out"])
def test_an_event_stream_ends_with_its_session(
    api: Api, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.2)
    key, token = signed_in(api, browser)
    job = uploaded(api.database, api.storage, tenant="acme")
    with browser.stream("GET", f"/v1/transcriptions/{job.public_id}/events") as answer:
        lines = answer.iter_lines()
        assert json.loads(next(line for line in lines if line.startswith("data: "))[6:])["id"] == job.public_id
        assert next(line for line in lines if line.startswith(":")) == ": still here"
        if how == "revoked":
            keys.revoke(api.database, key.id)
        else:
            with httpx.Client(base_url=api.client.base_url, cookies=browser.cookies, trust_env=False) as other:
                assert other.delete("/v1/session", headers=token).status_code == 204
        rest = list(lines)
    assert not any(line.startswith(("event:", "data:")) for line in rest)
