"""Summaries by the client, by the command, and in documents, usage and webhooks."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

import pytest
from docx import Document

from common import jobs
from common.keys import Scope
from paraqueue import ApiError, AsyncClient, Client, NotFound, SummaryNotReady
from tests.api.api_cases import Api
from tests.api.command_cases import Run
from tests.api.summaries.cases import LINK, SECRET, bearer, of
from tests.chat_server import MODEL, ChatServer, sends, writes
from tests.db.job_cases import rows
from tests.db.summary_cases import made, spoken
from tests.servers import ADMIN_KEY


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
