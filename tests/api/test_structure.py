"""Sentences split and merged over HTTP, by the client and by the command; what each reader then shows."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from common import jobs, keys
from common.jobs import Job
from common.keys import NewKey, Scope
from common.models import DEFAULT_TENANT
from common.transcript.sentence_numbers import number_at
from paraqueue import ApiError, Client, NotFound
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import claimed, completed, part

HEARD = ("今天天气很好我们开始吧。", "再见。", "Good bye.")
SECOND = number_at(0, 6)


@pytest.fixture
def job(api: Api) -> Job:
    return completed(api.database, None, *HEARD)


def changed(api: Api, job: Job, number: int, act: str, **body: Any) -> httpx.Response:
    return api.client.post(f"/v1/transcriptions/{job.public_id}/sentences/{number}/{act}", json=body)


def texts(api: Api, job: Job) -> list[tuple[int, str]]:
    body = json.loads(api.get(f"/{job.public_id}/transcript").text)
    return [(item["number"], item["text"]) for item in body["sentences"]]


def paged(api: Api, path: str) -> list[int]:
    numbers: list[int] = []
    after: int | None = -1
    while after is not None:
        page = api.client.get(path, params={"after": after, "limit": 1}).json()
        numbers += [item["number"] for item in page["data"]]
        after = page["next"]
    return numbers


def test_a_sentence_is_split_and_merged_again(api: Api, job: Job) -> None:
    before = api.get(f"/{job.public_id}/transcript").json()
    answer = changed(api, job, 0, "split", at_word=6, revision=0, machine_text=HEARD[0])
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["data"]
    assert (first["number"], first["text"], first["end_ms"]) == (0, "今天天气很好", 600)
    assert (second["number"], second["text"], second["start_ms"]) == (SECOND, "我们开始吧。", 600)
    assert [word["text"] for word in second["words"]] == list("我们开始吧")
    assert second["edit"]["machine_text"] == second["text"]
    path = f"/v1/transcriptions/{job.public_id}/sentences"
    assert api.client.get(f"{path}/{SECOND}").json() == second
    assert paged(api, path) == [0, SECOND, 1, 2]
    plain = api.get(f"/{job.public_id}/transcript", params={"format": "txt", "times": "true"}).text
    assert plain.splitlines()[:2] == ["[0:00:00] 今天天气很好", "[0:00:00] 我们开始吧。"]
    [hit] = api.get("/search", params={"q": "我们"}).json()["data"]
    assert (hit["number"], hit["start_ms"], hit["text"]) == (SECOND, 600, "我们开始吧。")
    assert api.get("/search", params={"q": "好我"}).json()["data"] == []
    with api.client.stream("GET", f"/v1/transcriptions/{job.public_id}/events") as stream:
        told = "".join(stream.iter_text())
    assert f'"number": {SECOND}' in told
    machine = api.get(f"/{job.public_id}/transcript", params={"text": "machine"}).json()
    assert machine["sentences"] == before["sentences"]

    merged = changed(api, job, 0, "merge", next=SECOND, revision=1, next_revision=1).json()
    assert merged["removed"] == [SECOND]
    again = api.get(f"/{job.public_id}/transcript").json()
    edit = again["sentences"][0].pop("edit")
    assert again == before
    assert (edit["text"], edit["revision"]) == (None, 2)
    history = api.client.get(f"{path}/0/history").json()["data"]
    assert [(item["structure"]["kind"], item["structure"]["other"]) for item in history] == [
        ("merged", SECOND),
        ("split", SECOND),
    ]
    assert [item["text_before"] for item in history] == ["今天天气很好", HEARD[0]]
    assert history[0]["edited_by_name"]


def test_the_place_in_the_text_is_moved_to_a_word(api: Api, job: Job) -> None:
    changed(api, job, 1, "merge")
    assert texts(api, job)[1] == (1, "再见。Good bye.")
    both = changed(api, job, 1, "split", at_character=2).json()["data"]
    assert [item["text"] for item in both] == ["再见。", "Good bye."]
    assert both[1]["number"] == 2, "a sentence of the machine has its number again"
    assert [item["start_ms"] for item in both] == [1000, 2000]


def test_a_person_who_saw_something_else_is_told(api: Api, job: Job) -> None:
    path = f"/v1/transcriptions/{job.public_id}/sentences/0"
    api.client.patch(path, json={"text": "今天很好，开始吧。"})
    problem = problem_of(changed(api, job, 0, "split", at_word=2, revision=0), 409, "edit_conflict")
    assert "revision 1" in problem["detail"]
    problem_of(changed(api, job, 0, "merge", next=2), 409, "edit_conflict")
    problem_of(changed(api, job, 0, "merge", next_revision=3), 409, "edit_conflict")
    problem_of(changed(api, job, 0, "merge", next_machine_text="别的。"), 409, "edit_conflict")
    both = changed(api, job, 0, "split", at_word=6, at_character=5, revision=1).json()["data"]
    assert [item["text"] for item in both] == ["今天很好，", "开始吧。"]
    stale = {"text": "别的。", "revision": 1}
    problem_of(api.client.patch(path, json=stale), 409, "edit_conflict")
    changed(api, job, 0, "merge")
    changed(api, job, 0, "merge")
    gone = api.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/1", json={"text": "别的。"})
    problem_of(gone, 409, "edit_conflict")
    problem_of(api.client.get(f"/v1/transcriptions/{job.public_id}/sentences/1"), 404, "not_found")


@pytest.mark.parametrize(
    "body", [{}, {"at_word": 0}, {"at_word": "1"}, {"at_word": 11}, {"at_character": 0}, {"at_word": 1, "text": "a"}]
)
def test_where_nothing_can_be_split(api: Api, job: Job, body: dict[str, Any]) -> None:
    problem_of(changed(api, job, 0, "split", **body), 422, "invalid_request")
    problem_of(changed(api, job, 2, "merge"), 422, "invalid_request")
    assert [number for number, _ in texts(api, job)] == [0, 1, 2]


def test_who_may_split_and_when(api: Api, job: Job) -> None:
    _, reader = keys.create(api.database, NewKey("reader", DEFAULT_TENANT, frozenset({Scope.READ})))
    for act in ("split", "merge"):
        path = f"/v1/transcriptions/{job.public_id}/sentences/0/{act}"
        headers = {"Authorization": f"Bearer {reader}"}
        problem_of(
            api.client.post(path, json={"at_word": 1} if act == "split" else {}, headers=headers), 403, "forbidden"
        )
    held = claimed(api.database)
    jobs.commit_part(api.database, held, part(0, "一二。"), first_sentence=0)
    problem_of(changed(api, jobs.get(api.database, held.job.id), 0, "split", at_word=1), 409, "not_ready")


@pytest.mark.parametrize("number", [150_000, 999_999_999, 1_999_999_999, 2_000_000_000])
def test_numbers_behind_the_last_sentence_that_can_be_split(api: Api, job: Job, number: int) -> None:
    path = f"/v1/transcriptions/{job.public_id}/sentences"
    problem_of(api.client.get(f"{path}/{number}"), 404, "not_found")
    page = api.client.get(path, params={"after": number})
    assert (page.status_code, page.json()["data"], page.json()["next"]) == (200, [], None)


def test_the_client_splits_and_merges(job: Job, client: Client) -> None:
    first, second = client.split_sentence(job.public_id, 0, at_word=6, revision=0)
    assert (first.number, second.number, second.text) == (0, SECOND, "我们开始吧。")
    assert [item.number for item in client.transcript(job.public_id).sentences] == [0, SECOND, 1, 2]
    assert [item.number for item in client.sentences(job.public_id)] == [0, SECOND, 1, 2]
    assert client.sentence(job.public_id, SECOND).text == second.text
    assert client.confirm(job.public_id, SECOND, [1]).words[1].confirmed
    with pytest.raises(ApiError) as error:
        client.merge_sentences(job.public_id, 0, next=1)
    assert error.value.code == "edit_conflict"
    merged = client.merge_sentences(job.public_id, 0, next=SECOND, revision=1, next_revision=2)
    assert (merged.number, merged.text, merged.words[7].confirmed) == (0, HEARD[0], True)
    structure = client.history(job.public_id, 0)[0].structure
    assert structure is not None
    assert (structure.kind, structure.at_word) == ("merged", 6)
    with pytest.raises(NotFound):
        client.sentence(job.public_id, SECOND)
