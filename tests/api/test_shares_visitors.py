"""What visitors see with a share link and do not see, what they hear, and how their calls are bounded."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from api.main import create_app
from common import ids, jobs, keys, shares
from common.options.transcription import TranscriptionOptions
from common.telemetry import tracing
from tests.api.api_cases import Api, api_settings, problem_of, running_api
from tests.api.share_cases import bearer, finished, look, path_of, shared_by
from tests.servers import ADMIN_KEY

SECRETS = ("https://internal.example/path/board.mp3?signature=s3cr3t", "confidential-tag", "坏蛋", "王晓明")


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
