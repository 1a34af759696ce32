"""Names and tags over HTTP, the client and the command: changed, listed, searched, and kept from others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typer.testing import CliRunner

from common import jobs, keys
from common.keys import NewKey, Scope
from paraqueue import AsyncClient, Client, NotFound
from paraqueue.cli.app import app
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import completed, execute
from tests.servers import ADMIN_KEY


def path(api: Api, **fields: Any) -> str:
    return f"/v1/transcriptions/{api.submit_file(**fields).json()['id']}"


def test_a_name_and_tags_are_changed_and_seen_everywhere(api: Api) -> None:
    here = path(api, tags="weekly,team")
    shown = api.client.patch(here, json={"name": " Board\n meeting ", "tags": ["board", "board"], "add_tags": ["q4"]})
    assert shown.status_code == 200, shown.text
    assert (shown.json()["name"], shown.json()["tags"]) == ("Board meeting", ["board", "q4"])
    assert shown.json()["source"]["name"] == "meeting.wav"
    assert api.client.get(here).json()["name"] == "Board meeting"
    assert len(api.get("", params={"tag": "q4"}).json()["data"]) == 1
    assert api.get("", params={"tag": "weekly"}).json()["data"] == []
    completed(api.database, jobs.page(api.database).jobs[0], "一起开会。")
    [hit] = api.get("/search", params={"q": "开会"}).json()["data"]
    assert hit["name"] == "Board meeting"
    assert "Board%20meeting.txt" in api.client.get(f"{here}/transcript?format=txt").headers["Content-Disposition"]
    assert api.client.patch(here, json={"name": None, "remove_tags": ["q4"]}).json()["name"] == "meeting.wav"
    assert api.client.patch(here, json={}).json()["tags"] == ["board"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": " "},
        {"name": "\x00"},
        {"name": "a" * 256},
        {"name": 5},
        {"tags": [""]},
        {"tags": ["a\n"]},
        {"tags": [str(number) for number in range(21)]},
        {"add_tags": ["a" * 65]},
        {"remove_tags": None},
        {"title": "x"},
    ],
)
def test_what_is_no_name_or_tag_changes_nothing(api: Api, change: dict[str, Any]) -> None:
    here = path(api, tags="weekly")
    before = api.client.get(here).json()
    problem_of(api.client.patch(here, json=change), 422, "invalid_request")
    assert api.client.get(here).json() == before


def test_too_many_tags_together_are_refused(api: Api) -> None:
    here = path(api, tags="weekly")
    refused = api.client.patch(here, json={"add_tags": [str(number) for number in range(20)]})
    assert "at most 20 tags" in problem_of(refused, 422, "invalid_request")["detail"]


def test_labels_are_for_those_who_may_read_and_submit_and_of_the_tenant(api: Api) -> None:
    here = path(api, tags="weekly")

    def patched(tenant: str, *scopes: Scope) -> Any:
        _, secret = keys.create(api.database, NewKey("test", tenant, frozenset(scopes)))
        return api.client.patch(here, json={"name": "x"}, headers={"Authorization": f"Bearer {secret}"})

    problem_of(patched("default", Scope.SUBMIT), 403, "forbidden")
    problem_of(patched("default", Scope.READ), 403, "forbidden")
    problem_of(patched("acme", Scope.SUBMIT, Scope.READ), 404, "not_found")
    assert api.client.get(here).json()["name"] == "meeting.wav"
    assert patched("default", Scope.SUBMIT, Scope.READ).json()["name"] == "x"


def test_the_list_is_sorted_searched_and_shows_beginnings(api: Api) -> None:
    for name in ("b.wav", "a.wav", "c.wav"):
        assert api.submit_file(name=name, content=name.encode()).status_code == 202
    completed(api.database, jobs.page(api.database, name="b").jobs[0], "一起开会。")

    def listed(**params: Any) -> list[str]:
        names: list[str] = []
        after: str | None = None
        while True:
            page = api.get("", params={**params, "limit": 1} | ({"after": after} if after else {})).json()
            names += [job["name"] for job in page["data"]]
            if (after := page["next"]) is None:
                return names

    assert listed(sort="name") == ["a.wav", "b.wav", "c.wav"]
    assert listed(sort="oldest") == ["b.wav", "a.wav", "c.wav"]
    assert listed(sort="longest") == ["b.wav", "c.wav", "a.wav"]
    assert listed(name="A.") == listed(name="wav", status="queued", sort="name")[:1] == ["a.wav"]
    problem_of(api.get("", params={"name": "."}), 422, "invalid_request")
    problem_of(api.get("", params={"sort": "shortest"}), 422, "invalid_request")
    previews = {job["name"]: job["preview"] for job in api.get("", params={"preview": "true"}).json()["data"]}
    assert previews.pop("b.wav") == "一起开会。"
    assert previews == {"a.wav": None, "c.wav": None}
    assert {job["preview"] for job in api.get("").json()["data"]} == {None}


def test_it_is_told_when_what_is_deleted(api: Api) -> None:
    here = path(api)
    times = ("audio_expires_at", "audio_deleted_at", "transcript_expires_at", "transcript_deleted_at", "expires_at")
    waiting = api.client.get(here).json()
    assert [waiting[name] for name in times] == [None] * 5
    completed(api.database, jobs.page(api.database).jobs[0])
    execute(api.database, "UPDATE jobs SET finished_at = '2026-01-01T00:00:00Z'")
    told = api.client.get(here).json()
    assert told["audio_expires_at"].startswith("2026-01-02T00:00:00")
    assert told["transcript_expires_at"].startswith("2026-01-31T00:00:00")
    assert told["expires_at"].startswith("2026-04-01T00:00:00")
    execute(api.database, "UPDATE jobs SET audio_key = NULL, audio_deleted_at = now(), result_deleted_at = now()")
    told = api.client.get(here).json()
    assert (told["audio_expires_at"], told["transcript_expires_at"]) == (None, None)
    assert told["audio_deleted_at"]
    assert told["transcript_deleted_at"]


def test_the_client_changes_labels_and_sorts(api: Api, client: Client) -> None:
    first, second = (client.submit(b"RIFF audio", name=name, tags=["weekly"]) for name in ("b.wav", "a.wav"))
    assert client.update(first.id, name="Board", add_tags=["q4"]).tags == ("weekly", "q4")
    assert [job.name for job in client.list(sort="name")] == ["a.wav", "Board"]
    assert [job.id for job in client.list(name="boa", preview=True)] == [first.id]
    assert client.update(second.id, tags=[]).tags == ()

    async def restored() -> str | None:
        async with AsyncClient(f"http://127.0.0.1:{api.port}", ADMIN_KEY) as other:
            assert [job.id async for job in other.list(sort="oldest")] == [first.id, second.id]
            return (await other.update(first.id, name=None)).name

    assert asyncio.run(restored()) == "b.wav"
    with pytest.raises(NotFound):
        client.update("tr_00000000000000000000000000", name="x")


def test_the_command_renames_and_tags(api: Api, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = client.submit(b"RIFF audio", name="b.wav", tags=["weekly"])
    monkeypatch.setenv("PARAQUEUE_URL", f"http://127.0.0.1:{api.port}")
    monkeypatch.setenv("PARAQUEUE_API_KEY", ADMIN_KEY)

    def said(*arguments: str) -> str:
        return CliRunner().invoke(app, list(arguments)).output

    assert said("rename", job.id, "Board") == "Board\n"
    assert said("tag", job.id, "--add", "q4", "--remove", "weekly") == f"{job.id} q4\n"
    assert "not found" in said("tag", "tr_x", job.id, "--add", "q5")
    assert "name tags with --add or --remove" in said("tag", job.id)
    assert said("list", "--name", "board", "--sort", "name").startswith("Board\tqueued\t")
    assert said("rename", job.id) == "b.wav\n"
    assert client.get(job.id).tags == ("q4", "q5")
