"""Vocabularies over HTTP, with the client and the command, and the words that a job gets from one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from common import ids, jobs, keys, vocabularies
from common.jobs import Claim
from common.keys import NewKey, Scope
from common.options.transcription import TranscriptionOptions
from paraqueue import ApiError, AsyncClient, Client, NotFound
from paraqueue.cli.app import app
from paraqueue.config import FILE_VARIABLE, KEY_VARIABLE, PROFILE_VARIABLE, URL_VARIABLE
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import FINISHED, claimed, part, rows
from tests.servers import ADMIN_KEY

PATH = "/v1/vocabularies"
LINK = "https://example.com/a.mp3"
WORDS = ["王晓明:8", "Kubernetes", "吉特=>Git"]


def made(api: Api, name: str = "Board", **lists: Any) -> dict[str, Any]:
    answer = api.client.post(PATH, json={"name": name, **lists})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def begun(api: Api, public_id: str) -> Claim:
    """The job as its worker sees it."""
    return claimed(api.database, jobs.get(api.database, ids.parsed(ids.JOB, public_id)))


def sent(api: Api, **fields: str) -> dict[str, Any]:
    answer = api.client.post("/v1/transcriptions", files={"file": ("a.wav", b"RIFF")}, data=fields)
    assert answer.status_code in (200, 202), answer.text
    job: dict[str, Any] = answer.json()
    return job


def test_a_vocabulary_from_its_making_to_its_end(api: Api) -> None:
    answer = api.client.post(PATH, json={"name": " Board ", "hotwords": [*WORDS, WORDS[0]], "masked_words": ["坏蛋"]})
    created = answer.json()
    here = f"{PATH}/{created['id']}"
    assert answer.headers["Location"].endswith(here)
    assert (created["name"], created["revision"], created["hotword_count"]) == ("Board", 1, 3)
    assert (created["hotwords"], created["masked_words"]) == (WORDS, ["坏蛋"])
    assert api.client.get(here).json() == created
    changed = api.client.patch(here, json={"hotwords": ["Git"], "revision": 1}).json()
    assert (changed["revision"], changed["hotwords"], changed["masked_words"]) == (2, ["Git"], ["坏蛋"])
    assert changed["updated_at"] > created["updated_at"]
    assert api.client.patch(here, json={"hotwords": ["Git"]}).json() == changed, "nothing has changed"
    problem_of(api.client.patch(here, json={"name": "Other", "revision": 1}), 409, "vocabulary_changed")
    assert api.client.patch(here, json={"masked_words": [], "name": "Team"}).json()["masked_word_count"] == 0
    assert api.client.delete(here).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        problem_of(api.client.request(method, here, json={"name": "x"}), 404, "not_found")


def test_lists_are_paged_and_without_words(api: Api) -> None:
    every = [made(api, f"list {number}", hotwords=WORDS)["id"] for number in range(5)][::-1]
    first = api.client.get(PATH, params={"limit": 3}).json()
    second = api.client.get(PATH, params={"limit": 3, "after": first["next"]}).json()
    assert [item["id"] for item in first["data"] + second["data"]] == every
    assert second["next"] is None
    assert first["data"][0]["hotword_count"] == 3
    assert "hotwords" not in first["data"][0]


def test_names_are_unique_per_tenant(api: Api) -> None:
    board, team = made(api, "Board"), made(api, "Team")
    problem_of(api.client.post(PATH, json={"name": "Board"}), 409, "vocabulary_name_taken")
    problem_of(api.client.patch(f"{PATH}/{team['id']}", json={"name": "Board"}), 409, "vocabulary_name_taken")
    assert api.client.patch(f"{PATH}/{board['id']}", json={"name": "Board"}).status_code == 200
    vocabularies.create(api.database, tenant="other", name="Board")


def test_no_more_than_the_limit_even_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabularies, "MAX_VOCABULARIES", 3)
    vocabularies.create(api.database, tenant="other", name="theirs")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: api.client.post(PATH, json={"name": f"list {n}"}), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    problem_of(api.client.post(PATH, json={"name": "more"}), 409, "too_many_vocabularies")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "a" * 101},
        {"name": "a", "hotwords": ["字"]},
        {"name": "a", "hotwords": ["王晓明:11"]},
        {"name": "a", "hotwords": ["章三", "章三=>张三"]},
        {"name": "a", "hotwords": ["字字"] * 1001},
        {"name": "a", "masked_words": ["字"] * 1001},
        {"name": "a", "words": []},
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    problem_of(api.client.post(PATH, json=body), 422, "invalid_request")


def test_the_largest_vocabulary_is_taken_and_used(api: Api) -> None:
    long = [f"{number:04}" + "字" * 26 for number in range(1000)]
    masked = [f"{number:04}" + "字" * 46 for number in range(1000)]
    created = made(api, hotwords=[f"{word}:10" for word in long], masked_words=masked)
    held = begun(api, sent(api, vocabulary_id=created["id"])["id"])
    assert len(held.text_rules.hotwords) == len(held.text_rules.masked_words) == 1000


def test_every_way_to_submit_takes_one(api: Api) -> None:
    created = made(api, hotwords=WORDS, masked_words=["坏蛋"])
    one = {"vocabulary_id": created["id"]}
    upload = api.client.post("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "4"})
    upload_id = upload.headers["Location"].rpartition("/")[2]
    patch = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert api.client.patch(f"/v1/uploads/{upload_id}", headers=patch, content=b"RIFF").status_code == 204
    answers = [
        api.client.post("/v1/transcriptions", json={"audio_url": LINK, **one}),
        api.client.post("/v1/transcriptions", json={"upload_id": upload_id, **one}),
        api.client.post("/v1/transcriptions", files={"file": ("a.wav", b"RIFF")}, data=one),
    ]
    made_ids = [answer.json()["id"] for answer in answers]
    assert [answer.json()["vocabulary_id"] for answer in answers] == [created["id"]] * 3
    batch = api.client.post("/v1/batches", json={"audio_urls": [LINK, LINK], **one}).json()
    made_ids += [item["id"] for item in batch["items"]]
    assert len(made_ids) == 5
    for public_id in made_ids:
        [[hotwords, masked]] = rows(
            api.database,
            "SELECT hotwords, masked_words FROM job_words WHERE job_id = :id",
            id=ids.parsed(ids.JOB, public_id),
        )
        assert (hotwords, masked) == (sorted(WORDS), ["坏蛋"])
    held = begun(api, made_ids[2])
    assert (held.text_rules.hotwords, held.text_rules.masked_words) == (tuple(sorted(WORDS)), ("坏蛋",))


def test_the_jobs_own_words_are_added_and_win(api: Api) -> None:
    created = made(api, hotwords=[*WORDS, "张三"], masked_words=["坏蛋"])
    own = {"hotwords": "王晓明:2, 张三=>张珊, 吉特=>GitHub", "masked_words": "傻瓜"}
    job = sent(api, vocabulary_id=created["id"], **own)
    assert job["hotwords"] == sorted(["王晓明:2", "张三=>张珊", "吉特=>GitHub"])
    rules = begun(api, job["id"]).text_rules
    assert rules.hotwords == tuple(sorted([*job["hotwords"], "Kubernetes"]))
    assert rules.masked_words == tuple(sorted(["傻瓜", "坏蛋"]))


def test_a_job_that_waits_keeps_the_words_through_changes_deletion_and_retry(api: Api) -> None:
    created = made(api, hotwords=WORDS)
    here = f"{PATH}/{created['id']}"
    changed_later, deleted_later = (sent(api, vocabulary_id=created["id"])["id"] for _ in range(2))
    assert api.client.patch(here, json={"hotwords": ["Other"]}).status_code == 200
    assert begun(api, changed_later).text_rules.hotwords == tuple(sorted(WORDS))
    assert begun(api, sent(api, vocabulary_id=created["id"])["id"]).text_rules.hotwords == ("Other",)
    assert api.client.post(f"/v1/transcriptions/{deleted_later}/cancel").status_code == 202
    assert api.client.delete(here).status_code == 204
    assert api.client.post(f"/v1/transcriptions/{deleted_later}/retry").status_code == 202
    assert begun(api, deleted_later).text_rules.hotwords == tuple(sorted(WORDS))
    assert api.get(f"/{deleted_later}").json()["vocabulary_id"] == created["id"]


def test_one_that_is_not_there_or_another_tenants_refuses_the_job_and_keeps_no_file(api: Api) -> None:
    theirs = vocabularies.create(api.database, tenant="other", name="theirs").public_id
    for unknown in (theirs, ids.shown(ids.VOCABULARY, ids.new_id()), "voc_1", "Board"):
        body = {"audio_url": LINK, "vocabulary_id": unknown}
        problem_of(api.client.post("/v1/transcriptions", json=body), 404, "not_found")
        problem_of(
            api.client.post("/v1/batches", json={"audio_urls": [LINK], "vocabulary_id": unknown}), 404, "not_found"
        )
        files = {"file": ("a.wav", b"RIFF")}
        answer = api.client.post("/v1/transcriptions", files=files, data={"vocabulary_id": unknown})
        problem_of(answer, 404, "not_found")
    assert api.get("").json()["data"] == []
    assert api.objects() == []


def test_a_key_that_may_only_submit_uses_one_and_reads_no_words(api: Api) -> None:
    created = made(api, hotwords=WORDS)
    _, secret = keys.create(api.database, NewKey("submitter", "default", frozenset({Scope.SUBMIT})))
    with Client(f"http://127.0.0.1:{api.port}", secret) as client:
        job = client.submit(LINK, vocabulary_id=created["id"])
        assert job.hotwords == ()
        with pytest.raises(ApiError) as raised:
            client.vocabulary(created["id"])
    assert raised.value.code == "forbidden"


def test_transcripts_are_reused_for_the_same_words_only(api: Api) -> None:
    created = made(api, hotwords=WORDS)
    one = {"vocabulary_id": created["id"], "dedupe": "true"}
    first = begun(api, sent(api, **one)["id"])
    jobs.complete(api.database, first, part(0, "好。", last=True), FINISHED, first_sentence=0, stage_ms={})
    assert sent(api, **one)["id"] == first.job.public_id
    assert sent(api, dedupe="true")["id"] != first.job.public_id
    assert api.client.patch(f"{PATH}/{created['id']}", json={"hotwords": ["Other"]}).status_code == 200
    assert sent(api, **one)["id"] != first.job.public_id


def test_both_clients_manage_them(api: Api) -> None:
    url = f"http://127.0.0.1:{api.port}"
    with Client(url, ADMIN_KEY) as client:
        created = client.create_vocabulary("Board", hotwords=WORDS)
        changed = client.update_vocabulary(created.id, masked_words=["坏蛋"], revision=created.revision)
        assert (changed.hotwords, changed.masked_words, changed.revision) == (tuple(WORDS), ("坏蛋",), 2)
        with pytest.raises(ApiError) as raised:
            client.update_vocabulary(created.id, hotwords=[], revision=1)
        assert raised.value.code == "vocabulary_changed"
        batch = client.submit_batch([LINK], vocabulary_id=created.id)
        assert client.get(str(batch.items[0].id)).vocabulary_id == created.id

    async def others() -> None:
        async with AsyncClient(url, ADMIN_KEY) as client:
            page = await client.vocabularies(limit=1)
            assert [(item.id, item.hotwords) for item in page.data] == [(created.id, ())]
            assert (await client.vocabulary(created.id)).hotwords == tuple(WORDS)
            assert (await client.submit(LINK, vocabulary_id=created.id)).vocabulary_id == created.id
            await client.delete_vocabulary(created.id)
            with pytest.raises(NotFound):
                await client.vocabulary(created.id)

    asyncio.run(others())


def test_the_command_manages_and_uses_them(api: Api, tmp_path: Path) -> None:
    environment: dict[str, str | None] = {
        URL_VARIABLE: f"http://127.0.0.1:{api.port}",
        KEY_VARIABLE: ADMIN_KEY,
        FILE_VARIABLE: str(tmp_path / "config.toml"),
        PROFILE_VARIABLE: None,
    }

    def run(*arguments: str, input: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=input, env=environment)

    id = run("vocabularies", "create", "Board", "王晓明", "-f", "-", "--mask", "坏蛋", input="Git:3\n\n").stdout.strip()
    assert run("vocabularies", "show", "Board").stdout.split() == ["王晓明", "Git:3"]
    assert run("vocabularies", "add", "Board", "Git:9", "吉特=>Git").stdout == "Board: 3 hotwords, 1 masked words\n"
    assert run("vocabularies", "remove", id, "王晓明:5", "--mask", "坏蛋").exit_code == 0
    assert run("vocabularies", "rename", id, "Team").stdout == "Team\n"
    shown = run("vocabularies", "list").stdout.rstrip("\n").split("\t")
    assert (shown[:3], shown[4]) == (["Team", "2", "0"], id)
    submitted = run("submit", LINK, "--vocabulary", "Team", "--hotword", "李四").stdout.strip()
    in_batch = run("batch", "submit", LINK, "--vocabulary", id)
    assert in_batch.exit_code == 0, in_batch.output
    job = jobs.get(api.database, ids.parsed(ids.JOB, submitted))
    assert job.options == TranscriptionOptions(hotwords=("李四",), vocabulary_id=id, vocabulary_revision=4)
    unknown = run("submit", LINK, "--vocabulary", "Board")
    assert (unknown.exit_code, unknown.stderr.count("no vocabulary named 'Board'")) == (2, 1)
    assert run("vocabularies", "delete", "Team", "--yes").exit_code == 0
    assert run("vocabularies", "show", id).exit_code == 5
