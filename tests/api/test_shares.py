"""Share links over HTTP: who makes them, what visitors see and do not see, and how links end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from api.auth import identities, visitors
from api.main import create_app
from api.shares import public
from common import ids, jobs, keys, shares
from common.jobs import Job
from common.keys import ALL_SCOPES, NewKey, Scope
from common.options.transcription import TranscriptionOptions
from common.telemetry import tracing
from tests.api.api_cases import Api, api_settings, problem_of, running_api
from tests.db.job_cases import NO_LIMIT, claimed, complete, completed, execute, one, submitted, uploaded
from tests.servers import ADMIN_KEY

TEXTS = ("你好，世界。", "我们开始吧。", "再见。")
SECRETS = ("https://internal.example/path/board.mp3?signature=s3cr3t", "confidential-tag", "坏蛋", "王晓明")


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)


def finished(api: Api, tenant: str = "default", **changes: Any) -> Job:
    held = claimed(api.database, submitted(api.database, tenant=tenant, **changes))
    complete(api.database, held, *TEXTS)
    return jobs.get(api.database, held.job.id)


def path_of(job: Job) -> str:
    return f"/v1/transcriptions/{job.public_id}/shares"


def shared_by(api: Api, job: Job, **wanted: Any) -> dict[str, Any]:
    answer = api.client.post(path_of(job), json=wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def key_of(api: Api, *scopes: Scope, tenant: str = "default", **more: Any) -> dict[str, str]:
    return bearer(keys.create(api.database, NewKey("test", tenant, frozenset(scopes), **more))[1])


def look(api: Api, token: str, path: str = "", **more: Any) -> httpx.Response:
    """A call of a visitor: no key, no cookie, only the token."""
    return httpx.get(f"{api.client.base_url}/v1/shared{path}", headers=bearer(token), trust_env=False, **more)


def over(answer: httpx.Response) -> str:
    """What a visitor is told of a link that does not work, without the request's own id."""
    problem = problem_of(answer, 404, "not_found")
    return json.dumps({name: value for name, value in problem.items() if name != "request_id"})


def test_a_link_from_its_making_to_its_end(api: Api) -> None:
    job = finished(api)
    answer = api.client.post(path_of(job), json={"expires_in_days": 7})
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"pq_share_[\w-]{43}", made["token"])
    assert made["url"] == f"{api.client.base_url}/#/shared/{made['token']}".replace("//#", "/#")
    lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lifetime == timedelta(days=7)
    assert (
        one(
            api.database,
            "SELECT count(*) FROM shares WHERE encode(hash, 'hex') = :hash",
            hash=shares.digest_of(made["token"]).hex(),
        )
        == 1
    )
    assert made["token"] not in one(api.database, "SELECT json_agg(s)::text FROM shares s")

    seen = look(api, made["token"]).json()
    assert (seen["id"], seen["name"], seen["audio_ms"], seen["audio"]) == (made["id"], None, 10_000, False)
    listed = api.client.get(path_of(job)).json()
    assert made["token"] not in json.dumps(listed)
    assert (listed["sharing"], listed["default_days"], listed["max_days"]) == (True, 30, 365)
    [link] = listed["data"]
    assert (link["id"], link["views"], link["audio"]) == (made["id"], 1, False)
    assert link["last_used_at"]

    first = look(api, made["token"], "/sentences?limit=2").json()
    second = look(api, made["token"], f"/sentences?after={first['next']}").json()
    assert [item["text"] for item in first["data"] + second["data"]] == list(TEXTS)
    assert [item["number"] for item in first["data"] + second["data"]] == [0, 1, 2]
    assert second["next"] is None
    assert api.client.get(path_of(job)).json()["data"][0]["views"] == 1, "a page of sentences is no view"

    assert api.client.delete(f"{path_of(job)}/{made['id']}").status_code == 204
    for path in ("", "/sentences", "/transcript"):
        over(look(api, made["token"], path))
    problem_of(api.client.delete(f"{path_of(job)}/{made['id']}"), 404, "not_found")
    assert api.client.get(path_of(job)).json()["data"] == []


@pytest.mark.parametrize("form", ["txt", "srt", "vtt", "md", "docx"])
def test_a_visitor_downloads_the_transcript(api: Api, form: str) -> None:
    job = finished(api, name="董事会.mp3")
    answer = look(api, shared_by(api, job)["token"], f"/transcript?format={form}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith(f"UTF-8''%E8%91%A3%E4%BA%8B%E4%BC%9A.{form}")
    if form == "docx":
        assert answer.content.startswith(b"PK")
    else:
        assert "开始" in answer.text
        assert job.public_id not in answer.text
        assert job.model not in answer.text


@pytest.mark.parametrize("form", ["json", "csv", "ass", "exe"])
def test_formats_that_show_more_are_not_for_visitors(api: Api, form: str) -> None:
    token = shared_by(api, finished(api))["token"]
    problem_of(look(api, token, f"/transcript?format={form}"), 422, "invalid_request")


def test_a_visitor_sees_nothing_but_the_transcript(api: Api) -> None:
    """Everything that the owner's job has besides is planted and looked for in every response, headers too."""
    url, tag, masked, hotword = SECRETS
    options = TranscriptionOptions(hotwords=(hotword,), masked_words=(masked,))
    job = finished(api, url=url, tags=(tag,), options=options, webhook_url="https://hooks.internal.example/x")
    jobs.correct(api.database, job, 0, "你好，朋友。", key_id=keys.ADMIN_KEY_ID)
    made = shared_by(api, job)
    answers = [look(api, made["token"], path) for path in ("", "/sentences", "/nothing")]
    answers += [look(api, made["token"], f"/transcript?format={form}") for form in ("txt", "srt", "vtt", "md")]
    shown = "".join(answer.text + str(answer.headers) for answer in answers)
    assert "朋友" in shown
    never = [*SECRETS, "s3cr3t", "internal.example", job.public_id, job.id.hex, str(job.id), made["token"]]
    never += [ids.shown(ids.KEY, keys.ADMIN_KEY_ID), "世界", "machine_text", "words", "confidence", "webhook"]
    never += ["hotwords", "priority", "tags", job.model, ADMIN_KEY, "tenant"]
    assert [thing for thing in never if thing in shown] == []
    assert set(answers[0].json()) == {
        *("id", "object", "name", "audio_ms", "channels", "no_speech", "warnings", "speakers", "audio", "expires_at")
    }
    assert set(answers[1].json()["data"][0]) == {"number", "text", "start_ms", "end_ms", "channel", "speaker"}


def test_every_response_forbids_caches_and_search_engines(api: Api) -> None:
    token = shared_by(api, finished(api))["token"]
    for answer in (look(api, token), look(api, token, "/transcript"), look(api, "wrong"), look(api, token, "/x/audio")):
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"


def test_links_that_do_not_work_cannot_be_told_apart(api: Api) -> None:
    told = set()
    kept = finished(api)
    working = shared_by(api, kept)["token"]
    told.add(over(look(api, shares.TOKEN_PREFIX + "a" * 43)))
    told.add(over(look(api, "nonsense")))
    told.add(over(look(api, ADMIN_KEY)))
    told.add(over(look(api, working[:-1] + ("A" if working[-1] != "A" else "B"))))
    expired = shared_by(api, kept)
    execute(
        api.database, "UPDATE shares SET expires_at = now() WHERE id = :id", id=ids.parsed(ids.SHARE, expired["id"])
    )
    told.add(over(look(api, expired["token"])))
    assert [link["id"] for link in api.client.get(path_of(kept)).json()["data"]] != [expired["id"]]
    revoked = shared_by(api, kept)
    api.client.delete(f"{path_of(kept)}/{revoked['id']}")
    told.add(over(look(api, revoked["token"])))
    deleted = finished(api)
    of_deleted = shared_by(api, deleted)["token"]
    jobs.delete_job(api.database, api.storage, deleted.id)
    told.add(over(look(api, of_deleted)))
    forgotten = finished(api)
    of_forgotten = shared_by(api, forgotten)["token"]
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '1 day' WHERE id = :id", id=forgotten.id)
    jobs.expire_results(api.database, NO_LIMIT, after_seconds=60)
    told.add(over(look(api, of_forgotten)))
    assert len(told) == 1
    assert one(api.database, "SELECT count(*) FROM shares") == 2, "with the transcript, its links are deleted"
    assert look(api, working).status_code == 200


@pytest.mark.parametrize("method", ["TRACE", "POST", "PATCH", "DELETE"])
def test_visitors_only_read(api: Api, method: str) -> None:
    secret = shared_by(api, finished(api))["token"]
    for token in (secret, "pqs_wrong"):
        answer = api.client.request(method, "/v1/shared", headers=bearer(token))
        problem_of(answer, 405, "method_not_allowed")
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_without_a_token_nobody_learns_anything(api: Api) -> None:
    for headers in ({}, {"Cookie": "paraqueue_session=x"}, {"Authorization": "Bearer"}):
        answer = httpx.get(f"{api.client.base_url}/v1/shared", headers=headers, trust_env=False)
        problem_of(answer, 401, "unauthenticated")
    url = f"{api.client.base_url}/v1/shared?token={shared_by(api, finished(api))['token']}"
    problem_of(httpx.get(url, trust_env=False), 401, "unauthenticated")


def test_a_token_opens_nothing_else(api: Api) -> None:
    job = finished(api)
    token = shared_by(api, job)["token"]
    for path in ("/v1/transcriptions", f"/v1/transcriptions/{job.public_id}", path_of(job), "/v1/session", "/v1/keys"):
        for headers in (bearer(token), {"X-API-Key": token}):
            answer = httpx.get(f"{api.client.base_url}{path}", headers=headers, trust_env=False)
            problem_of(answer, 401, "unauthenticated")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = httpx.request(method, f"{api.client.base_url}/v1/shared", headers=bearer(token), trust_env=False)
        problem_of(answer, 405, "method_not_allowed")


def test_who_may_make_see_and_end_links(api: Api) -> None:
    job = finished(api)
    made = shared_by(api, job)
    one_link = f"{path_of(job)}/{made['id']}"
    for scopes in ((Scope.READ,), (Scope.SUBMIT,), (Scope.ADMIN,)):
        headers = key_of(api, *scopes)
        problem_of(api.client.post(path_of(job), headers=headers), 403, "forbidden")
        problem_of(api.client.delete(one_link, headers=headers), 403, "forbidden")
        assert api.client.get(path_of(job), headers=headers).status_code == (200 if Scope.READ in scopes else 403)
    theirs = key_of(api, *ALL_SCOPES, tenant="theirs")
    for method, path in (("POST", path_of(job)), ("GET", path_of(job)), ("DELETE", one_link)):
        problem_of(api.client.request(method, path, headers=theirs), 404, "not_found")
    other = finished(api)
    problem_of(api.client.delete(f"{path_of(other)}/{made['id']}"), 404, "not_found")
    assert look(api, made["token"]).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"expires_in_days": 0},
        {"expires_in_days": -1},
        {"expires_in_days": 366},
        {"expires_in_days": "7"},
        {"expires_in_days": 1e300},
        {"audio": "yes"},
        {"token": "pq_share_mine"},
        [],
    ],
    ids=str,
)
def test_a_link_that_cannot_be(api: Api, body: Any) -> None:
    problem_of(api.client.post(path_of(finished(api)), json=body), 422, "invalid_request")


def test_only_a_complete_transcript_can_be_shared(api: Api) -> None:
    waiting = submitted(api.database)
    problem_of(api.client.post(path_of(waiting)), 409, "not_ready")
    jobs.cancel(api.database, waiting.id)
    problem_of(api.client.post(path_of(waiting)), 409, "no_transcript")


def test_no_more_links_than_the_limit_even_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MAX_SHARES_OF_JOB", 3)
    job = finished(api)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: api.client.post(path_of(job)), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    problem_of(api.client.post(path_of(job)), 409, "too_many_shares")
    execute(api.database, "UPDATE shares SET expires_at = now()")
    assert api.client.post(path_of(job)).status_code == 201, "links that are over do not count"


def test_a_link_ends_with_the_key_that_made_it(api: Api) -> None:
    job = finished(api)
    soon = datetime.now(UTC) + timedelta(hours=3)
    key, secret = keys.create(api.database, NewKey("leaked", scopes=ALL_SCOPES, expires_at=soon))
    made = api.client.post(path_of(job), headers=bearer(secret)).json()
    assert made["created_by"] == key.public_id
    assert datetime.fromisoformat(made["expires_at"]) == soon
    assert look(api, made["token"]).status_code == 200
    keys.revoke(api.database, key.id)
    over(look(api, made["token"]))
    assert api.client.get(path_of(job)).json()["data"] == []


def test_the_admin_of_a_tenant_switches_sharing_off_and_on(api: Api) -> None:
    job = finished(api, tenant="acme")
    admin = key_of(api, *ALL_SCOPES, tenant="acme")
    token = api.client.post(path_of(job), headers=admin).json()["token"]
    assert look(api, token).status_code == 200
    assert api.client.get("/v1/tenants/acme", headers=admin).json()["sharing"] is True
    for body in ({"max_queued": 5}, {"sharing": False, "max_queued": 5}, {}, {"sharing": None}):
        problem_of(api.client.patch("/v1/tenants/acme", headers=admin, json=body), 403, "forbidden")
    user = key_of(api, Scope.SUBMIT, Scope.READ, tenant="acme")
    problem_of(api.client.patch("/v1/tenants/acme", headers=user, json={"sharing": False}), 403, "forbidden")
    off = api.client.patch("/v1/tenants/acme", headers=admin, json={"sharing": False})
    assert off.json()["sharing"] is False
    over(look(api, token))
    problem_of(api.client.post(path_of(job), headers=admin), 409, "sharing_off")
    assert api.client.get(path_of(job), headers=admin).json()["sharing"] is False
    other = shared_by(api, finished(api))["token"]
    assert look(api, other).status_code == 200, "of another tenant"
    api.client.patch("/v1/tenants/acme", headers=admin, json={"sharing": True})
    assert look(api, token).status_code == 200


def test_the_operator_switches_sharing_off(api: Api, redis_url: str, tmp_path: Any) -> None:
    job = finished(api)
    token = shared_by(api, job)["token"]
    url = api.settings.database_url.get_secret_value()
    with running_api(api_settings(url, redis_url, tmp_path, share_links="off")) as closed:
        over(look(closed, token))
        problem_of(closed.client.post(path_of(job)), 409, "sharing_off")
        assert closed.client.get(path_of(job)).json()["sharing"] is False
    with running_api(api_settings(url, redis_url, tmp_path, share_max_days=7)) as short:
        made = short.client.post(path_of(job)).json()
        lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
        assert lifetime == timedelta(days=7)


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


def test_no_token_is_logged_or_counted_by_name(api: Api) -> None:
    job = finished(api)
    with capture_logs() as logs, TestClient(create_app(api.settings)) as client:
        made = client.post(path_of(job), headers=bearer(ADMIN_KEY), json={}).json()
        client.get("/v1/shared", headers=bearer(made["token"]))
        client.get("/v1/shared", headers=bearer(made["token"][:-1]))
        client.delete(f"{path_of(job)}/{made['id']}", headers=bearer(ADMIN_KEY))
    told = repr(logs)
    assert {"share_created", "share_revoked", "credential_refused"} <= {entry["event"] for entry in logs}
    [opened] = [entry for entry in logs if entry.get("path") == "/v1/shared" and entry["status"] == 200]
    assert opened["share_id"] == made["id"]
    assert made["token"][:-1] not in told
    assert made["token"] not in api.client.get("/metrics").text
    assert 'route="/v1/shared"' in api.client.get("/metrics").text


@pytest.mark.parametrize("path", ["/%23/shared/{}", "/shared/{}", "/v1/shared/{}", "/v1/shared/{}/audio"])
def test_a_token_that_arrives_in_a_path_is_not_logged_or_traced(
    api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some programs encode the `#` of a link that they open."""
    token = shares.TOKEN_PREFIX + "Secret-_" * 5 + "123"
    spans: list[dict[str, Any]] = []
    started = tracing.span

    def noted(name: str, **more: Any) -> Any:
        spans.append({"name": name, **more})
        return started(name, **more)

    monkeypatch.setattr(tracing, "span", noted)
    with capture_logs() as logs, TestClient(create_app(api.settings)) as client:
        assert client.get(path.format(token)).status_code == (401 if path.startswith("/v1") else 404)
    [line] = [entry for entry in logs if entry["event"] == "request"]
    assert line["path"] == path.format("pq_share_…").replace("%23", "#")
    assert any("pq_share_…" in repr(span) for span in spans)
    assert "Secret" not in repr(logs) + repr(spans)


def test_strangers_are_bounded_by_their_address(api: Api, redis_url: str, tmp_path: Any) -> None:
    job = finished(api)
    made = shared_by(api, job)
    url = api.settings.database_url.get_secret_value()
    with running_api(api_settings(url, redis_url, tmp_path, share_requests_per_minute=5)) as few:
        answers = [look(few, made["token"]) for _ in range(11)]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert problem_of(answers[-1], 429, "rate_limited")["retryable"]
        assert few.client.get("/v1/models").status_code == 200, "their calls are not those of the tenant"


def test_wrong_tokens_lock_their_address_out_like_wrong_keys(api: Api, redis_url: str, tmp_path: Any) -> None:
    made = shared_by(api, finished(api))
    url = api.settings.database_url.get_secret_value()
    with running_api(api_settings(url, redis_url, tmp_path, auth_failures_per_minute=6)) as strict:
        strict.service.rates.forget()
        assert look(strict, made["token"]).status_code == 200
        answers = [look(strict, f"{shares.TOKEN_PREFIX}{number:043}") for number in range(14)]
        assert {answer.status_code for answer in answers} == {404, 429}
        assert problem_of(answers[-1], 429, "rate_limited")
        assert look(strict, made["token"]).status_code == 200, "who was admitted before is not locked out by others"
        other = shared_by(api, finished(api))["token"]
        assert look(strict, other).status_code == 429


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
