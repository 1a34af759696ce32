"""Looking at jobs and reading transcripts over HTTP; cancel, retry, delete."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from common import jobs
from common.db import Database
from common.jobs import Job
from common.transcript.recording import AudioTrack, Recording, RecordingWarning
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import (
    NO_LIMIT,
    canceled,
    claimed,
    completed,
    execute,
    failed,
    part,
    submitted,
    uploaded,
    with_worker,
)


def test_a_job_is_shown_in_every_state(api: Api) -> None:
    held = claimed(api.database)
    jobs.commit_part(api.database, held, part(0, "一。"), first_sentence=0)
    shown = {
        job.status.value: api.get(f"/{job.public_id}")
        for job in (
            submitted(api.database),
            held.job,
            completed(api.database),
            failed(api.database),
            canceled(api.database),
        )
    }
    assert {name: answer.json()["status"] for name, answer in shown.items()} == {name: name for name in shown}
    assert len(shown) == 5
    assert {name for name, answer in shown.items() if "retry-after" in answer.headers} == {"queued", "processing"}
    processing, done, broken = (shown[name].json() for name in ("processing", "completed", "failed"))
    assert (processing["stage"], processing["progress"], processing["processed_ms"]) == ("fetching", None, 10_000)
    assert (done["progress"], done["audio_ms"], done["result"]["rtf"]) == (1.0, 10_000, 0.05)
    assert done["attempts"][0]["outcome"] == "completed"
    assert broken["error"] == {"code": "audio_empty", "message": "no samples", "retryable": False}


@pytest.mark.parametrize(
    "path", ["/tr_", "/nonsense", f"/tr_{'0' * 32}", f"/up_{'0' * 32}", "/tr_%00", f"/tr_{'g' * 32}"]
)
@pytest.mark.parametrize("call", ["GET", "GET transcript", "POST cancel", "POST retry", "DELETE"])
def test_an_unknown_job_is_404(api: Api, path: str, call: str) -> None:
    method, _, action = call.partition(" ")
    url = f"/v1/transcriptions{path}{'/' + action if action else ''}"
    problem_of(api.client.request(method, url), 404, "not_found")


def test_list_goes_on_by_cursor_and_is_stable(api: Api) -> None:
    made = [submitted(api.database).public_id for _ in range(5)]
    first = api.get("", params={"limit": 2}).json()
    submitted(api.database)
    second = api.get("", params={"limit": 2, "after": first["next"]}).json()
    third = api.get("", params={"limit": 2, "after": second["next"]}).json()
    assert [job["id"] for page in (first, second, third) for job in page["data"]] == made[::-1]
    assert third["next"] is None


def test_list_filters(api: Api) -> None:
    tagged = submitted(api.database, tags=("会议", "a")).public_id
    done = completed(api.database).public_id
    assert [job["id"] for job in api.get("", params={"tag": "会议"}).json()["data"]] == [tagged]
    assert [job["id"] for job in api.get("", params={"status": "completed"}).json()["data"]] == [done]
    assert api.get("", params={"status": "completed", "tag": "a"}).json() == {"data": [], "next": None}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "status=done",
        "after=nonsense",
        "after=%00",
        "tag=%00",
        "tag=",
        "tag=" + "a" * 65,
    ],
)
def test_list_refuses_what_it_does_not_know(api: Api, query: str) -> None:
    problem_of(api.get(f"?{query}"), 422, "invalid_request")


def test_a_transcript_in_four_forms(api: Api) -> None:
    path = f"/{completed(api.database, None, '你好，世界。', '再见。').public_id}/transcript"
    by_format = {form: api.get(path, params={"format": form}) for form in ("json", "txt", "srt", "vtt")}
    accepted = {
        "json": "application/json",
        "txt": "text/plain",
        "srt": "application/x-subrip",
        "vtt": "text/vtt",
    }
    for form, media in accepted.items():
        answer = api.get(path, headers={"Accept": media})
        assert answer.content == by_format[form].content
        assert answer.headers["content-type"].partition(";")[0] == media
        assert answer.headers["vary"] == "Accept"
        assert f".{form}" in answer.headers["content-disposition"]
    body = by_format["json"].json()
    assert body["text"] == "你好，世界。再见。"
    assert (body["model"], body["precision"], body["partial"], body["no_speech"]) == ("demo-zh", "fp32", False, False)
    assert by_format["txt"].text == "你好，世界。\n再见。\n"
    assert by_format["srt"].text.startswith("1\n00:00:00,000 --> 00:00:01,200\n你好，世界。再见。\n")
    assert by_format["vtt"].text.startswith("WEBVTT\n\n00:00:00.000 --> ")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("text/*", "text/plain"),
        ("text/vtt;q=0.5, application/json;q=0.9", "application/json"),
        ("text/html, text/vtt;q=0.2", "text/vtt"),
        ("application/json;q=0, */*;q=0.1", "text/plain"),
    ],
)
def test_accept_weighs(api: Api, accept: str, media: str) -> None:
    path = f"/{completed(api.database).public_id}/transcript"
    assert api.get(path, headers={"Accept": accept}).headers["content-type"].partition(";")[0] == media


def test_a_form_that_there_is_not(api: Api) -> None:
    path = f"/{completed(api.database).public_id}/transcript"
    problem_of(api.get(path, headers={"Accept": "image/png, text/html"}), 406, "not_acceptable")
    problem_of(api.get(path, params={"format": "pdf"}), 422, "invalid_request")
    # `format` wins
    assert api.get(path, params={"format": "srt"}, headers={"Accept": "image/png"}).status_code == 200


@pytest.mark.parametrize("make", [submitted, lambda d: claimed(d).job])
def test_a_transcript_that_is_not_there_yet(api: Api, make: Callable[[Database], Job]) -> None:
    answer = api.get(f"/{make(api.database).public_id}/transcript")
    assert problem_of(answer, 409, "not_ready")["retryable"] is True


@pytest.mark.parametrize("make", [failed, canceled])
def test_a_transcript_that_will_never_be_there(api: Api, make: Callable[[Database], Job]) -> None:
    """A client that polls while the response is retryable terminates."""
    path = f"/{make(api.database).public_id}/transcript"
    assert problem_of(api.get(path), 409, "no_transcript")["retryable"] is False
    assert api.get(path, params={"partial": "true"}).status_code == 200


def test_warnings_and_tracks_are_told_from_the_first_part_on(api: Api) -> None:
    held = claimed(api.database)
    path = f"/{held.job.public_id}"
    assert (api.get(path).json()["warnings"], api.get(path).json()["tracks"]) == ([], [])
    gap = RecordingWarning("audio_gap", "A hole.", 2000, 5000)
    track = AudioTrack(0, "aac", 2, 48_000, "zh", None, True, True)
    jobs.commit_part(
        api.database, held, replace(part(0, "一。"), recording=Recording((track,), (gap,))), first_sentence=0
    )
    warning = {"code": "audio_gap", "message": "A hole.", "start_ms": 2000, "end_ms": 5000}
    assert api.get(path).json()["warnings"] == [warning]
    assert api.get(path).json()["tracks"][0]["language"] == "zh"
    assert api.get(f"{path}/transcript", params={"partial": "true"}).json()["warnings"] == [warning]
    jobs.fail(api.database, held, code="internal", message="", retryable=True, stage_ms={})
    assert api.get(path).json()["warnings"] == [warning]
    jobs.retry(api.database, held.job.id)
    assert api.get(path).json()["warnings"] == []


def test_a_transcript_as_it_grows(api: Api) -> None:
    held = claimed(api.database)
    path = f"/{held.job.public_id}/transcript"
    empty = api.get(path, params={"partial": "true"}).json()
    assert (empty["partial"], empty["sentences"], empty["text"]) == (True, [], "")
    jobs.commit_part(api.database, held, part(0, "一。", "二。"), first_sentence=0)
    grown = api.get(path, params={"partial": "true"}).json()
    assert (grown["partial"], grown["text"], grown["audio_ms"]) == (True, "一。二。", 10_000)


@pytest.mark.parametrize("make", [completed, failed])
def test_a_transcript_that_has_expired(api: Api, make: Callable[[Database], Job]) -> None:
    job = make(api.database)
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '1 day'")
    jobs.expire_results(api.database, NO_LIMIT, after_seconds=60)
    problem_of(api.get(f"/{job.public_id}/transcript", params={"partial": "true"}), 410, "expired")
    assert api.get(f"/{job.public_id}").status_code == 200


def test_a_long_transcript_streams(api: Api) -> None:
    held = claimed(api.database)
    for number in range(10):
        jobs.commit_part(api.database, held, part(number, *["这是一句话。"] * 200), first_sentence=200 * number)
    path = f"/v1/transcriptions/{held.job.public_id}/transcript?partial=true"
    with api.client.stream("GET", path) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        pieces = list(answer.iter_bytes())
    assert len(json.loads(b"".join(pieces))["sentences"]) == 2000


def test_cancel(api: Api) -> None:
    queued, held, done = submitted(api.database), claimed(api.database), completed(api.database)
    answer = api.client.post(f"/v1/transcriptions/{queued.public_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "canceled")
    answer = api.client.post(f"/v1/transcriptions/{held.job.public_id}/cancel")
    assert (answer.json()["status"], answer.json()["cancel_requested"]) == ("processing", True)
    problem_of(api.client.post(f"/v1/transcriptions/{done.public_id}/cancel"), 409, "wrong_state")


def test_retry(api: Api) -> None:
    broken = failed(api.database)
    answer = api.client.post(f"/v1/transcriptions/{broken.public_id}/retry")
    assert (answer.status_code, answer.json()["status"], answer.json()["run"]) == (202, "queued", 2)
    assert "retry-after" in answer.headers
    problem_of(api.client.post(f"/v1/transcriptions/{broken.public_id}/retry"), 409, "wrong_state")
    gone = failed(api.database, uploaded(api.database, api.storage))
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '1 day'")
    jobs.expire_audio(api.database, api.storage, NO_LIMIT, after_seconds=60)
    problem_of(api.client.post(f"/v1/transcriptions/{gone.public_id}/retry"), 410, "expired")


def test_delete(api: Api) -> None:
    job = uploaded(api.database, api.storage)
    held = claimed(api.database)
    answer = api.client.delete(f"/v1/transcriptions/{job.public_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.objects() == []
    problem_of(api.get(f"/{job.public_id}"), 404, "not_found")
    problem_of(api.client.delete(f"/v1/transcriptions/{held.job.public_id}"), 409, "wrong_state")


def test_models(api: Api) -> None:
    [default] = api.client.get("/v1/models").json()["data"]
    assert (default["id"], default["default"], default["workers"]) == ("demo-zh", True, 0)
    with_worker(api.database, slots=3)
    with_worker(api.database, model="other", worker="b")
    models = {model["id"]: model for model in api.client.get("/v1/models").json()["data"]}
    assert (models["demo-zh"]["slots"], models["other"]["default"]) == (3, False)


def test_models_tell_what_they_can_do(api: Api) -> None:
    assert api.client.get("/v1/models/demo-zh").json()["languages"] == []
    with_worker(api.database, languages=("zh", "en"))
    model = api.client.get("/v1/models/demo-zh").json()
    assert model["languages"] == ["zh", "en"]
    assert model["word_times"] is True
    assert model["speakers"] is False
    assert model["hotwords"] is False
    # What a worker said is remembered while it is away; a worker of an older version says nothing.
    execute(api.database, "UPDATE workers SET heartbeat_at = now() - interval '1 hour'")
    assert api.client.get("/v1/models/demo-zh").json()["languages"] == ["zh", "en"]
    execute(api.database, "UPDATE workers SET card = NULL")
    assert api.client.get("/v1/models/demo-zh").json()["languages"] == []
