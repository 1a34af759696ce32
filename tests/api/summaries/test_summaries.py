"""Summaries: requested, shown, refused, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common import ids, shares, summaries
from common.keys import Scope
from common.shares import NewShare
from dev.postgres import Postgres
from dev.valkey import Valkey
from paraqueue import Client
from tests.api.api_cases import Api, problem_of, shared_api
from tests.api.summaries.cases import SECRET, bearer, of, template
from tests.chat_server import MODEL, ChatServer, sends, writes
from tests.db.job_cases import submitted
from tests.db.summary_cases import made, spoken
from tests.servers import ADMIN_KEY


def test_a_summary_from_its_request_to_its_end(api: Api, chat: ChatServer) -> None:
    job = spoken(api.database, SECRET)
    problem_of(api.client.get(of(job)), 404, "not_found")
    answer = api.client.post(of(job), json={})
    assert answer.status_code == 202, answer.text
    queued = answer.json()
    assert api.get(f"/{job.public_id}").json()["summary"] == "queued"
    assert (queued["status"], queued["kind"], queued["text"], queued["template"]) == ("queued", "minutes", None, None)
    problem_of(api.client.post(of(job), json={"kind": "todos"}), 409, "wrong_state")
    chat.answers = [writes("收购乙公司。")]
    made(api.database, chat.endpoint(), job)
    done = api.client.get(of(job)).json()
    assert (done["status"], done["text"], done["progress"], done["error"]) == ("completed", "收购乙公司。", 1.0, None)
    assert (done["model"], done["language"]) == (MODEL, "zh")
    assert (done["prompt_tokens"], done["completion_tokens"]) == (100, 10)
    assert done["prompt"] in chat.asked[0].system
    assert done["started_at"] <= done["finished_at"]
    api.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/0", json={"text": "没有决定。"})
    assert api.client.get(of(job)).json()["stale"] is True
    assert api.client.delete(of(job)).status_code == 204
    problem_of(api.client.get(of(job)), 404, "not_found")
    problem_of(api.client.delete(of(job)), 404, "not_found")


def test_one_that_waits_is_canceled_and_then_deleted(api: Api) -> None:
    job = submitted(api.database)
    assert api.client.post(of(job), json={"kind": "decisions", "language": "en"}).status_code == 202
    assert api.client.delete(of(job)).status_code == 204
    assert api.client.get(of(job)).json()["status"] == "canceled"
    assert api.client.delete(of(job)).status_code == 204
    assert api.client.get(of(job)).status_code == 404


def test_why_one_failed_is_shown(api: Api, chat: ChatServer) -> None:
    job = spoken(api.database, SECRET)
    api.client.post(of(job), json={})
    chat.answers = [sends(401)]
    made(api.database, chat.endpoint(), job)
    failed = api.client.get(of(job)).json()
    assert failed["status"] == "failed"
    assert failed["error"] == {
        "code": "summary_rejected",
        "message": "the chat endpoint answered 401",
        "retryable": False,
    }
    assert api.client.post(of(job), json={}).status_code == 202, "a new one may be requested"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "poem"},
        {"kind": "minutes", "template_id": "tpl_1"},
        {"language": "fr"},
        {"prompt": "x"},
        {"template_id": "t" * 65},
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    problem_of(api.client.post(of(spoken(api.database, SECRET)), json=body), 422, "invalid_request")


def test_without_an_endpoint_it_is_refused_and_clients_can_see_that(
    postgres: Postgres, valkey: Valkey, tmp_path: Path
) -> None:
    with shared_api(postgres, valkey, tmp_path) as api:
        assert api.client.get("/v1/session").json()["summaries"] is False
        problem_of(api.client.post(of(spoken(api.database, SECRET)), json={}), 422, "summaries_not_configured")
        problem_of(api.submit_file(summary="true"), 422, "summaries_not_configured")
        assert api.objects() == []


def test_who_may_do_what(api: Api) -> None:
    assert api.client.get("/v1/session").json()["summaries"] is True
    job, letter = spoken(api.database, SECRET), template(api)
    submit, read = bearer(api, Scope.SUBMIT), bearer(api, Scope.READ)
    problem_of(api.client.post(of(job), json={}, headers=read), 403, "forbidden")
    answer = api.client.post(of(job), json={"template_id": letter["id"]}, headers=submit)
    assert (answer.status_code, answer.json()["prompt"], answer.json()["template"]["name"]) == (202, None, "")
    problem_of(api.client.get(of(job), headers=submit), 403, "forbidden")
    shown = api.client.get(of(job), headers=read).json()
    assert (shown["prompt"], shown["template"]["name"]) == ("Write a letter.", "Letter")
    problem_of(api.client.delete(of(job), headers=read), 403, "forbidden")
    for method, body in (("POST", {}), ("GET", None), ("DELETE", None)):
        other = bearer(api, Scope.SUBMIT, Scope.READ, tenant="other")
        problem_of(api.client.request(method, of(job), json=body, headers=other), 404, "not_found")
    theirs = summaries.create_template(api.database, tenant="other", name="theirs", prompt="p").public_id
    for unknown in (theirs, "tpl_1", ids.shown(ids.SUMMARY_TEMPLATE, ids.new_id())):
        problem_of(api.client.post(of(submitted(api.database)), json={"template_id": unknown}), 404, "not_found")


def test_visitors_do_not_see_it(api: Api, chat: ChatServer) -> None:
    job = spoken(api.database, SECRET)
    api.client.post(of(job), json={})
    chat.answers = [writes("only for us")]
    made(api.database, chat.endpoint(), job)
    _, token = shares.create(api.database, NewShare(job.id, "default", None, 3600), longest_seconds=7200)
    visitor = {"Authorization": f"Bearer {token}"}
    paths = ["/v1/shared", "/v1/shared/sentences", *(f"/v1/shared/transcript?format={form}" for form in ("txt", "md"))]
    for path in paths:
        answer = api.client.get(path, headers=visitor)
        assert answer.status_code == 200
        assert "only for us" not in answer.text


def test_one_that_is_being_replaced_is_still_shown(api: Api, chat: ChatServer) -> None:
    job, letter = spoken(api.database, SECRET), template(api)
    api.client.post(of(job), json={"template_id": letter["id"]})
    chat.answers = [writes("the old one", finish="length")]
    made(api.database, chat.endpoint(), job)
    waiting = api.client.post(of(job), json={"kind": "todos"}).json()
    assert (waiting["status"], waiting["kind"], waiting["text"]) == ("queued", "todos", None)
    assert waiting == api.client.get(of(job)).json()
    old = waiting["previous"]
    assert (old["kind"], old["text"], old["truncated"]) == ("template", "the old one", True)
    assert old["template"] == {"id": letter["id"], "name": "Letter"}
    markdown = api.get(f"/{job.public_id}/transcript", params={"format": "md"}).text
    assert "the old one" in markdown
    assert "cut off" in markdown
    with Client(f"http://127.0.0.1:{api.port}", ADMIN_KEY) as client:
        previous = client.summary(job.public_id).previous
    assert previous is not None
    assert previous.text == "the old one"
    api.client.delete(of(job))
    hidden = api.client.post(of(job), json={}, headers=bearer(api, Scope.SUBMIT)).json()["previous"]
    assert (hidden["text"], hidden["template"]["name"]) == (None, "")
    made(api.database, chat.endpoint(), job)
    assert api.client.get(of(job)).json()["previous"] is None
