"""Summaries and their templates over HTTP and with both clients; a light worker makes them through a real endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from docx import Document

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
from tests.api.command_cases import Run
from tests.chat_server import MODEL, ChatServer, running_chat_server, sends, writes
from tests.db.job_cases import claimed, complete, rows, submitted
from tests.db.summary_cases import made, spoken
from tests.servers import ADMIN_KEY

PATH = "/v1/summary-templates"
LINK = "https://example.com/a.mp3"
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


def test_documents_contain_it_and_other_formats_do_not(api: Api, chat: ChatServer) -> None:
    job = spoken(api.database, "大家好。")
    api.client.post(of(job), json={})
    chat.answers = [writes("# 要点\n- 一 <b>\n- ![x](http://evil.example)")]
    made(api.database, chat.endpoint(), job)
    api.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/0", json={"text": "大家好啊。"})
    markdown = api.get(f"/{job.public_id}/transcript", params={"format": "md"}).text
    assert "\n## Summary\n\n\\# 要点\n- 一 \\<b\\>\n- !\\[x\\](http://evil.example)\n" in markdown
    assert "the transcript was changed afterwards" in markdown
    assert markdown.index("## Summary") < markdown.index("## Transcript") < markdown.index("大家好啊。")
    document = Document(BytesIO(api.get(f"/{job.public_id}/transcript", params={"format": "docx"}).content))
    lines = [paragraph.text for paragraph in document.paragraphs]
    assert lines.index("Summary") < lines.index("# 要点") < lines.index("Transcript")
    for form in ("txt", "json", "srt", "csv"):
        assert "要点" not in api.get(f"/{job.public_id}/transcript", params={"format": form}).text


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


def test_tokens_are_in_the_usage_of_tenant_and_key(api: Api, chat: ChatServer) -> None:
    headers = bearer(api, Scope.SUBMIT, Scope.READ)
    job = spoken(api.database, SECRET, tags=("board",))
    for _ in range(2):
        assert api.client.post(of(job), json={}, headers=headers).status_code == 202
        made(api.database, chat.endpoint(), job)

    def usage(group_by: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = api.client.get("/v1/usage", params={"group_by": group_by}).json()["data"]
        return rows

    [total] = usage("")
    assert (total["jobs"], total["prompt_tokens"], total["completion_tokens"]) == (1, 200, 20)
    by_model = {row["model"]: row for row in usage("model")}
    assert (by_model[MODEL]["jobs"], by_model[MODEL]["prompt_tokens"]) == (0, 200)
    assert [row["prompt_tokens"] for row in usage("key") if row["key_name"] == "test"] == [200]
    [tagged] = usage("tag,day")
    assert (tagged["tag"], tagged["jobs"], tagged["completion_tokens"]) == ("board", 1, 20)


def test_who_wants_it_is_told_when_it_has_ended(api: Api, chat: ChatServer) -> None:
    events = ("transcription.summarized",)
    fields: dict[str, Any] = {"webhook_url": "https://example.com/hook", "webhook_events": events}
    jobs_made = [spoken(api.database, SECRET, **fields), spoken(api.database, SECRET)]
    chat.answers = [writes("好"), writes("好"), sends(400)]
    for job in (*jobs_made, jobs_made[0]):
        api.client.post(of(job), json={})
        made(api.database, chat.endpoint(), job)
    payloads = [payload for [payload] in rows(api.database, "SELECT payload FROM deliveries ORDER BY created_at, id")]
    assert [payload["status"] for payload in payloads] == ["completed", "failed"]
    assert payloads[1]["error"] == {"code": "summary_rejected"}
    assert payloads[0]["links"]["self"] == of(jobs_made[0])
    assert "好" not in str(payloads)


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


def test_the_command_makes_and_manages_them(api: Api, chat: ChatServer, run: Run) -> None:
    id = run("summary", "templates", "create", "Letter", "-", input="Write\na letter.\n").stdout.strip()
    assert run("summary", "templates", "show", "Letter").stdout == "Write\na letter.\n"
    assert run("summary", "templates", "update", id, "Write two.").stdout == "Letter\n"
    assert run("summary", "templates", "list").stdout.rstrip("\n").split("\t")[::2] == ["Letter", id]
    job = spoken(api.database, SECRET)
    waiting = run("summary", job.public_id, "--kind", "Letter", "--language", "en", "--no-wait")
    assert waiting.stderr == "paraqueue: the summary is queued\n"
    assert run("summary", "make", job.public_id).exit_code == 1, "one is queued"
    made(api.database, chat.endpoint(), job)
    assert run("summary", "show", job.public_id).stdout == "summary 1\n"
    assert "Write two." in chat.asked[0].system
    assert run("summary", "delete", job.public_id).exit_code == 0
    assert run("summary", "show", job.public_id).exit_code == 5
    submitted_id = run("submit", LINK, "--summary", "Letter").stdout.strip()
    assert api.get(f"/{submitted_id}/summary").json()["template"]["name"] == "Letter"
    assert run("submit", LINK, "--summary", "Poem").exit_code == 2
    assert run("summary", job.public_id, "--language", "fr").exit_code == 2
    assert run("summary", "templates", "delete", "Letter", "--yes").exit_code == 0
