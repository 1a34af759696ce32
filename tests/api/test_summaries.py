"""Summaries and their templates over HTTP and with both clients; a light worker makes them through a real endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.auth import identities
from common import ids, jobs, keys, shares, summaries
from common.jobs import Job
from common.keys import NewKey, Scope
from common.shares import NewShare
from common.summaries import templates
from dev.postgres import Postgres
from dev.valkey import Valkey
from paraqueue import ApiError, AsyncClient, Client, NotFound, SummaryNotReady
from tests.api.api_cases import Api, problem_of, shared_api
from tests.chat_server import MODEL, ChatServer, running_chat_server, sends, writes
from tests.db.job_cases import submitted
from tests.db.summary_cases import made, spoken
from tests.servers import ADMIN_KEY

PATH = "/v1/summary-templates"
SECRET = "我们秘密决定收购乙公司。"


@pytest.fixture(scope="module")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    with running_chat_server(tmp_path_factory.mktemp("chat")) as server:
        yield server


@pytest.fixture(scope="module")
def shared(
    postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory, chat_server: ChatServer
) -> Iterator[Api]:
    chat = {"summary_url": chat_server.base_url, "summary_model": MODEL}
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), **chat) as api:
        yield api


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    return shared.emptied()


@pytest.fixture
def chat(chat_server: ChatServer) -> ChatServer:
    chat_server.asked.clear()
    chat_server.answers.clear()
    return chat_server


def of(job: Job) -> str:
    return f"/v1/transcriptions/{job.public_id}/summary"


def bearer(api: Api, *scopes: Scope, tenant: str = "default") -> dict[str, str]:
    _, secret = keys.create(api.database, NewKey("test", tenant, frozenset(scopes)))
    return {"Authorization": f"Bearer {secret}"}


def template(api: Api, name: str = "Letter", prompt: str = "Write a letter.") -> dict[str, Any]:
    answer = api.client.post(PATH, json={"name": name, "prompt": prompt})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


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


def test_a_template_from_its_making_to_its_end(api: Api) -> None:
    answer = api.client.post(PATH, json={"name": " Letter ", "prompt": "Write\na letter. "})
    created = answer.json()
    here = f"{PATH}/{created['id']}"
    assert answer.headers["Location"].endswith(here)
    assert (created["name"], created["prompt"], created["revision"]) == ("Letter", "Write\na letter.", 1)
    assert api.client.get(here).json() == created
    changed = api.client.patch(here, json={"prompt": "Write two.", "revision": 1}).json()
    assert (changed["prompt"], changed["revision"]) == ("Write two.", 2)
    assert changed["updated_at"] > created["updated_at"]
    assert api.client.patch(here, json={"prompt": "Write two."}).json() == changed, "nothing has changed"
    problem_of(api.client.patch(here, json={"name": "x", "revision": 1}), 409, "summary_template_changed")
    assert api.client.delete(here).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        problem_of(api.client.request(method, here, json={"name": "x"}), 404, "not_found")


def test_templates_have_names_of_their_own_and_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [template(api, f"t{number}")["id"] for number in range(5)][::-1]
    first = api.client.get(PATH, params={"limit": 3}).json()
    second = api.client.get(PATH, params={"limit": 3, "after": first["next"]}).json()
    assert [item["id"] for item in first["data"] + second["data"]] == every
    problem_of(api.client.post(PATH, json={"name": "t0", "prompt": "p"}), 409, "summary_template_name_taken")
    problem_of(api.client.patch(f"{PATH}/{every[0]}", json={"name": "t0"}), 409, "summary_template_name_taken")
    monkeypatch.setattr(templates, "MAX_TEMPLATES", 7)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: api.client.post(PATH, json={"name": f"n{n}", "prompt": "p"}), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 4
    problem_of(api.client.post(PATH, json={"name": "more", "prompt": "p"}), 409, "too_many_summary_templates")


@pytest.mark.parametrize(
    "body", [{}, {"name": "a"}, {"name": "a", "prompt": " "}, {"name": "a", "prompt": "x" * 4001}, {"prompt": "p\x00"}]
)
def test_a_template_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    problem_of(api.client.post(PATH, json=body), 422, "invalid_request")


def test_both_clients_make_and_manage_them(api: Api, chat: ChatServer) -> None:
    url = f"http://127.0.0.1:{api.port}"
    job = spoken(api.database, SECRET)
    with Client(url, ADMIN_KEY) as client:
        created = client.create_summary_template("Letter", "Write a letter.")
        changed = client.update_summary_template(created.id, prompt="Write two.", revision=created.revision)
        assert (changed.prompt, changed.revision) == ("Write two.", 2)
        with pytest.raises(ApiError) as raised:
            client.update_summary_template(created.id, name="x", revision=1)
        assert raised.value.code == "summary_template_changed"
        assert client.summarize(job.public_id, template_id=created.id, language="en").status == "queued"
        with pytest.raises(SummaryNotReady):
            client.wait_for_summary(job.public_id, timeout=0)
        made(api.database, chat.endpoint(), job)
        assert client.wait_for_summary(job.public_id).text == "summary 1"

    async def others() -> None:
        async with AsyncClient(url, ADMIN_KEY) as client:
            page = await client.summary_templates(limit=1)
            assert [item.id for item in page.data] == [created.id]
            shown = await client.summary(job.public_id)
            assert (shown.ended, shown.kind, shown.prompt_tokens) == (True, "template", 100)
            assert shown.template is not None
            assert shown.template.name == "Letter"
            await client.delete_summary(job.public_id)
            with pytest.raises(NotFound):
                await client.summary(job.public_id)
            await client.delete_summary_template(created.id)
            with pytest.raises(NotFound):
                await client.summary_template(created.id)

    asyncio.run(others())
    assert jobs.get(api.database, job.id).status == "completed"
