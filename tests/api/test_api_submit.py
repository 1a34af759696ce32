"""Submitting audio over HTTP."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from common import jobs
from common.job_states import Status
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, api_settings, problem_of, running_api, shared_api
from tests.db.job_cases import execute, one, rows, with_worker
from tests.waiting import until

LIMIT = 2 * 1024 * 1024
URL = "/v1/transcriptions"


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), max_upload_bytes=LIMIT) as api:
        yield api


def nothing_is_left(api: Api) -> None:
    until(lambda: not api.half_written())
    assert api.objects() == []
    assert rows(api.database, "SELECT id FROM jobs") == []


def test_an_upload_is_accepted_at_once(api: Api) -> None:
    answer = api.submit_file(b"RIFF audio", "会议.wav", channels="split", priority="8", tags=["a, b", "c"])
    assert answer.status_code == 202
    body = answer.json()
    assert (
        answer.headers["location"]
        == body["links"]["self"]
        == str(api.client.base_url).rstrip("/") + f"{URL}/{body['id']}"
    )
    assert int(answer.headers["retry-after"]) > 0
    assert (body["status"], body["channels"], body["priority"]) == ("queued", "split", 8)
    assert body["tags"] == ["a", "b", "c"]
    digest = hashlib.sha256(b"RIFF audio").hexdigest()
    assert body["source"] == {"kind": "upload", "url": None, "name": "会议.wav", "bytes": 10, "sha256": digest}
    [key] = api.objects()
    assert (api.root / key).read_bytes() == b"RIFF audio"
    followed = api.client.get(answer.headers["location"]).json()
    assert {name: followed[name] for name in body} == body


def test_a_link_is_accepted_at_once(api: Api) -> None:
    answer = api.submit_link("https://example.com/a%20b/meeting.mp3?sig=1", tags=["x"], model="demo-zh")
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["location"].endswith(body["id"])
    assert body["source"]["url"] == "https://example.com/a%20b/meeting.mp3"
    assert (body["source"]["kind"], body["source"]["name"]) == ("https", "meeting.mp3")
    assert one(api.database, "SELECT source_url FROM jobs") == "https://example.com/a%20b/meeting.mp3?sig=1"
    assert api.objects() == []


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://example.com/a.mp3", "http"),
        ("https://example.com:8443/a.mp3", "https"),
        ("s3://bucket/folder/a.mp3", "s3"),
        ("oss://bucket/会议.mp3", "oss"),
        ("HTTPS://EXAMPLE.com/a.mp3", "https"),
        ("http://[2001:db8::1]/a.mp3", "http"),
    ],
)
def test_links_of_each_scheme(api: Api, url: str, kind: str) -> None:
    answer = api.submit_link(url)
    assert answer.status_code == 202, answer.text
    assert answer.json()["source"]["kind"] == kind


@pytest.mark.parametrize(
    "url",
    [
        "",
        "meeting.mp3",
        "ftp://example.com/a.mp3",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://",
        "http:///a.mp3",
        "https://:443/a.mp3",
        "http://example.com:0/a.mp3",
        "http://example.com:99999/a.mp3",
        "http://[::1/a.mp3",
        "http://user:secret@example.com/a.mp3",
        "http://user@example.com/a.mp3",
        "https://:secret@example.com/a.mp3",
        "http://example.com/a b.mp3",
        "http://example.com/a\nb.mp3",
        "http://example.com/a\x00b.mp3",
        " http://example.com/a.mp3",
        "s3://bucket",
        "s3://bucket/",
        "oss:///key",
        "http://example.com/" + "a" * 5000,
    ],
)
def test_links_that_cannot_be_fetched_are_refused(api: Api, url: str) -> None:
    problem = problem_of(api.submit_link(url), 422, "invalid_request")
    assert problem["errors"][0]["field"] == "audio_url"
    assert "secret" not in str(problem)
    nothing_is_left(api)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "audio_url"),
        ({"audio_url": 5}, "audio_url"),
        ({"audio_url": "https://e.com/a", "langauge": "zh"}, "langauge"),
        ({"audio_url": "https://e.com/a", "priority": 10}, "priority"),
        ({"audio_url": "https://e.com/a", "priority": "high"}, "priority"),
        ({"audio_url": "https://e.com/a", "channels": "left"}, "channels"),
        ({"audio_url": "https://e.com/a", "tags": "a"}, "tags"),
        ({"audio_url": "https://e.com/a", "tags": ["a\x00"]}, "tags.0"),
        ({"audio_url": "https://e.com/a", "tags": [""]}, "tags.0"),
        ({"audio_url": "https://e.com/a", "tags": ["a" * 65]}, "tags.0"),
        ({"audio_url": "https://e.com/a", "tags": ["a"] * 21}, "tags"),
        ([], "body"),
    ],
)
def test_json_that_is_wrong_names_the_field(api: Api, body: object, field: str) -> None:
    problem = problem_of(api.client.post(URL, json=body), 422, "invalid_request")
    assert field in [item["field"] for item in problem["errors"]]
    assert field in problem["detail"]
    nothing_is_left(api)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"\xff\xfe", b'{"audio_url": "https://e.com/\\ud800"}'])
def test_json_that_is_none_is_refused(api: Api, body: bytes) -> None:
    answer = api.client.post(URL, content=body, headers={"Content-Type": "application/json; charset=utf-8"})
    problem_of(answer, 422, "invalid_request")


def test_json_that_is_huge_is_refused(api: Api) -> None:
    problem_of(api.client.post(URL, json={"audio_url": "x" * 1_100_000}), 413, "upload_too_large")


def test_a_model_that_nobody_serves_is_refused(api: Api) -> None:
    problem = problem_of(api.submit_link(model="whisper"), 422, "unknown_model")
    assert "demo-zh" in problem["detail"]
    problem_of(api.submit_file(model="whisper"), 422, "unknown_model")
    nothing_is_left(api)


def test_a_model_whose_workers_are_silent_is_waited_for(api: Api) -> None:
    with_worker(api.database, model="other-zh", worker="other")
    silence = "UPDATE workers SET heartbeat_at = now() - interval '1 hour', draining = true WHERE model = 'other-zh'"
    execute(api.database, silence)
    try:
        assert api.submit_link(model="other-zh").json()["status"] == "queued"
    finally:
        execute(api.database, "DELETE FROM workers WHERE model = 'other-zh'")
    problem_of(api.submit_link(model="other-zh"), 422, "unknown_model")


def test_a_language_that_the_model_does_not_know_is_refused(api: Api) -> None:
    assert api.submit_link(language="fr").status_code == 202  # no worker has reported its languages yet
    with_worker(api.database, languages=("zh", "en"))
    for known in ("zh", "ZH-cn", "en_US", "zh-Hans-CN"):
        assert api.submit_link(language=known).status_code == 202
    problem = problem_of(api.submit_link(language="fr-CA"), 422, "unsupported_language")
    assert "demo-zh" in problem["detail"]
    assert "zh, en" in problem["detail"]
    problem_of(api.submit_link(language="Chinese!"), 422, "invalid_request")


def test_a_model_that_a_worker_serves_is_accepted(api: Api) -> None:
    with_worker(api.database, model="other")
    assert api.submit_link(model="other").json()["model"] == "other"


def test_submit_wakes_the_dispatcher(api: Api) -> None:
    with_worker(api.database)
    api.submit_file(b"audio")
    until(lambda: one(api.database, "SELECT dispatched_at IS NOT NULL FROM jobs"))


def test_submit_does_not_wait_for_the_announcement(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    announcing, go_on = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        announcing.set()
        assert go_on.wait(120)

    monkeypatch.setattr(api.service.dispatcher, "_publish", hang)
    with_worker(api.database)
    try:
        assert api.submit_file(b"audio").status_code == 202
        assert announcing.wait(60)
        assert api.submit_file(b"audio").status_code == 202
    finally:
        go_on.set()
    until(lambda: one(api.database, "SELECT count(*) FROM jobs WHERE dispatched_at IS NULL") == 0)


def test_submit_works_while_redis_is_away_and_the_job_is_announced_later(database_url: str, tmp_path: Any) -> None:
    with running_api(api_settings(database_url, "redis://127.0.0.1:1/0", tmp_path)) as api:
        with_worker(api.database)
        answers = [api.submit_file(b"audio") for _ in range(5)]
        assert {answer.status_code for answer in answers} == {202}
        until(lambda: one(api.database, "SELECT count(*) FROM jobs WHERE dispatched_at IS NULL") == 5)
    announced: list[object] = []
    database = api.database
    assert jobs.dispatch(database, lambda job_id, _model: announced.append(job_id), redispatch_seconds=15) == 2
    assert {job.status for job in jobs.page(database).jobs} == {Status.QUEUED}
    database.close()


def test_storage_that_is_away_is_503(api: Api) -> None:
    elsewhere = api.root.with_name("moved")
    if api.root.exists():
        api.root.rename(elsewhere)
    api.root.write_text("")
    try:
        assert problem_of(api.submit_file(), 503, "storage_unavailable")["retryable"]
        assert rows(api.database, "SELECT id FROM jobs") == []
    finally:
        api.root.unlink()
