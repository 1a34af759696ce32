"""Summaries that are requested with a transcription."""

from __future__ import annotations

from typing import Any

import pytest

from common import ids, jobs, summaries
from tests.api.api_cases import Api, problem_of
from tests.api.summaries.cases import LINK, SECRET, template
from tests.chat_server import ChatServer
from tests.db.job_cases import claimed, complete
from tests.db.summary_cases import made


def test_every_way_to_submit_takes_one(api: Api, chat: ChatServer) -> None:
    letter = template(api)["id"]
    upload = api.client.post("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "4"})
    upload_id = upload.headers["Location"].rpartition("/")[2]
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert api.client.patch(f"/v1/uploads/{upload_id}", headers=tus, content=b"RIFF").status_code == 204
    answers = [
        api.submit_link(summary=True),
        api.client.post(
            "/v1/transcriptions", json={"upload_id": upload_id, "summary": "todos", "summary_language": "en"}
        ),
        api.submit_file(summary=letter),
        api.submit_file(summary="true"),
    ]
    batch = api.client.post("/v1/batches", json={"audio_urls": [LINK, LINK], "summary": "decisions"}).json()
    made_ids = [answer.json()["id"] for answer in answers] + [item["id"] for item in batch["items"]]
    shown = [api.get(f"/{public_id}/summary").json() for public_id in made_ids]
    expected = ["minutes", "todos", "template", "minutes", "decisions", "decisions"]
    assert [item["kind"] for item in shown] == expected
    assert shown[1]["language"] == "en"
    assert {item["status"] for item in shown} == {"queued"}
    job = jobs.get(api.database, ids.parsed(ids.JOB, made_ids[2]))
    complete(api.database, claimed(api.database, job), SECRET)
    made(api.database, chat.endpoint(), job)
    assert "Write a letter." in chat.asked[0].system
    assert api.submit_file(summary="false").json()["id"] not in made_ids


@pytest.mark.parametrize(
    "wanted", [{"summary": "poem"}, {"summary": 1}, {"summary_language": "en"}, {"summary": "tpl_1"}]
)
def test_a_submission_with_a_wrong_option_is_refused(api: Api, wanted: dict[str, Any]) -> None:
    problem_of(api.submit_link(**wanted), 422, "invalid_request")


def test_a_submission_with_a_template_that_is_not_there_keeps_nothing(api: Api) -> None:
    unknown = ids.shown(ids.SUMMARY_TEMPLATE, ids.new_id())
    problem_of(api.submit_file(summary=unknown), 404, "not_found")
    assert api.get("").json()["data"] == []
    assert api.objects() == []


def test_a_transcript_that_is_reused_gets_one_unless_it_has_one(api: Api) -> None:
    first = api.submit_file(dedupe="true").json()["id"]
    job = jobs.get(api.database, ids.parsed(ids.JOB, first))
    complete(api.database, claimed(api.database, job), SECRET)
    assert api.submit_file(dedupe="true", summary="todos").json()["id"] == first
    assert api.get(f"/{first}/summary").json()["kind"] == "todos"
    assert api.submit_file(dedupe="true", summary="minutes").json()["id"] == first
    assert api.get(f"/{first}/summary").json()["kind"] == "todos"
    held = summaries.claim_next(api.database)
    assert held is not None
    assert held.job_id == job.id
