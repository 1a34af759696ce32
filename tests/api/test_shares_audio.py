"""The recording behind a share link: who hears it, with which cookie, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.auth import visitors
from api.shares import public
from common import ids, shares
from common.jobs import Job
from tests.api.api_cases import Api, problem_of
from tests.api.share_cases import bearer, look, over, shared_by
from tests.db.job_cases import completed, execute, one, uploaded


def with_recording(api: Api, content: bytes) -> Job:
    job = uploaded(api.database, api.storage, content)
    return completed(api.database, job)


WAVE = b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00"
WAVE += b"data\x00\x08\x00\x00" + bytes(2048)


def test_the_recording_is_heard_only_where_it_is_shared(api: Api) -> None:
    job = with_recording(api, WAVE)
    silent, heard = shared_by(api, job), shared_by(api, job, audio=True)
    assert look(api, silent["token"]).json()["audio"] is False
    assert "set-cookie" not in look(api, silent["token"]).headers
    for name in ("audio", "peaks"):
        over(look(api, silent["token"], f"/{silent['id']}/{name}"))
        over(look(api, silent["token"], f"/{heard['id']}/{name}"))
        over(look(api, heard["token"], f"/{silent['id']}/{name}"))
    assert look(api, heard["token"]).json()["audio"] is True
    sound = look(api, heard["token"], f"/{heard['id']}/audio")
    assert (sound.status_code, sound.content) == (200, WAVE)
    assert sound.headers["cache-control"] == "private, no-store"
    assert job.public_id not in str(sound.headers)
    headers = bearer(heard["token"]) | {"Range": "bytes=4-9"}
    part = httpx.get(f"{api.client.base_url}/v1/shared/{heard['id']}/audio", headers=headers, trust_env=False)
    assert (part.status_code, part.content) == (206, WAVE[4:10])
    assert look(api, heard["token"], f"/{heard['id']}/peaks").status_code == 202
    execute(api.database, "UPDATE jobs SET audio_key = NULL, audio_deleted_at = now()")
    problem_of(look(api, heard["token"], f"/{heard['id']}/audio"), 410, "expired")
    assert look(api, heard["token"]).json()["audio"] is False


@pytest.fixture
def browser(api: Api) -> Iterator[httpx.Client]:
    """A client that sends no key, and keeps cookies."""
    with httpx.Client(base_url=api.client.base_url, trust_env=False, timeout=60) as client:
        yield client


def test_a_browser_plays_with_its_cookie(api: Api, browser: httpx.Client) -> None:
    made = shared_by(api, with_recording(api, WAVE), audio=True)
    opened = browser.get("/v1/shared", headers=bearer(made["token"]))
    cookie = opened.headers["set-cookie"].lower()
    assert f"path=/v1/shared/{made['id']};" in cookie
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.get(f"/v1/shared/{made['id']}/audio").content == WAVE
    problem_of(browser.get("/v1/shared"), 401, "unauthenticated")
    problem_of(browser.get("/v1/models"), 401, "unauthenticated")
    shares.revoke(api.database, one(api.database, "SELECT job_id FROM shares"), ids.parsed(ids.SHARE, made["id"]))
    over(browser.get(f"/v1/shared/{made['id']}/audio"))


def test_over_https_the_cookie_is_secure_and_below_the_prefix() -> None:
    visit = shares.Visit(ids.new_id(), ids.new_id(), "default", True, datetime.now(UTC))
    request = Request({"type": "http", "headers": [(b"authorization", b"Bearer pq_share_x")]})
    response = Response()
    visitors.put_cookie(request, response, visit, "https://speech.example.com/paraqueue")
    cookie = response.headers["set-cookie"]
    assert f"Path=/paraqueue/v1/shared/{visit.public_id};" in cookie
    assert "Secure" in cookie


def test_a_recording_that_is_being_sent_ends_with_its_link(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its response may last for hours: a player reads the rest of a range as it plays."""
    monkeypatch.setattr(public, "CHECK_SECONDS", 0.0)
    content = WAVE + bytes(64 * 1024 * 1024)
    made = shared_by(api, with_recording(api, content), audio=True)
    url, headers = f"{api.client.base_url}/v1/shared/{made['id']}/audio", bearer(made["token"])
    with httpx.stream("GET", url, headers=headers | {"Range": "bytes=0-"}, trust_env=False, timeout=120) as sound:
        assert sound.status_code == 206
        pieces = sound.iter_raw(64 * 1024)
        assert next(pieces).startswith(b"RIFF")
        job_id = one(api.database, "SELECT job_id FROM shares WHERE id = :id", id=ids.parsed(ids.SHARE, made["id"]))
        shares.revoke(api.database, job_id, ids.parsed(ids.SHARE, made["id"]))
        with pytest.raises(httpx.RemoteProtocolError):
            assert sum(map(len, pieces)) < len(content), "all of it"
