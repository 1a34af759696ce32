"""Who reads corrections: pages, events, search and the client."""

from __future__ import annotations

from typing import Any

import pytest

from common import jobs
from common.jobs import Job
from paraqueue import ApiError, Client, NotFound
from tests.api.api_cases import Api, problem_of
from tests.api.test_edits import HEARD, corrected, path_of
from tests.db.job_cases import (
    claimed,
    complete,
    completed,
    fail,
    one,
    part,
    rows,
    submitted,
)


@pytest.fixture
def job(api: Api) -> Job:
    return completed(api.database, None, *HEARD)


def test_pages_of_sentences_also_while_it_runs(api: Api) -> None:
    held = claimed(api.database)
    jobs.commit_part(api.database, held, part(0, *HEARD), first_sentence=0)
    job = jobs.get(api.database, held.job.id)
    corrected(api, job, "改。", number=1)
    seen: list[dict[str, Any]] = []
    after = -1
    while True:
        page = api.get(f"/{job.public_id}/sentences", params={"after": after, "limit": 2}).json()
        assert (page["status"], page["run"]) == ("processing", 1)
        seen += page["data"]
        if page["next"] is None:
            break
        after = page["next"]
    assert [(item["number"], item["text"]) for item in seen] == [(0, HEARD[0]), (1, "改。"), (2, HEARD[2])]
    # What is corrected while it runs stays when it completes; a new run begins without.
    fail(api.database, held)
    jobs.retry(api.database, job.id)
    problem_of(api.client.patch(path_of(job), json={"text": "a"}), 404, "not_found")
    held = claimed(api.database, job)
    jobs.commit_part(api.database, held, part(0, "新一句。"), first_sentence=0)
    corrected(api, job, "新。")
    jobs.restart(api.database, held)
    complete(api.database, held, "更新。")
    assert api.client.get(path_of(job)).json()["text"] == "更新。"
    assert one(api.database, "SELECT count(*) FROM edits WHERE run = 2") == 0


def test_events_tell_corrected_sentences(api: Api, job: Job) -> None:
    corrected(api, job, "今天天气很好。")
    with api.client.stream("GET", f"/v1/transcriptions/{job.public_id}/events") as answer:
        text = "".join(answer.iter_text())
    assert '"text": "今天天气很好。", "start_ms"' in text
    assert HEARD[1] in text


def hit_texts(api: Api, query: str) -> list[str]:
    return [hit["text"] for hit in api.get("/search", params={"q": query}).json()["data"]]


def test_search_finds_what_people_wrote_and_not_what_they_replaced(api: Api, job: Job) -> None:
    corrected(api, job, "今天天气很好。")
    assert hit_texts(api, "天气") == ["今天天气很好。"]
    assert hit_texts(api, "天汽") == []
    assert hit_texts(api, "今天") == ["今天天气很好。"], "once"
    [hit] = api.get("/search", params={"q": "气很"}).json()["data"]
    assert (hit["number"], hit["matches"], hit["transcription_id"]) == (0, [[3, 5]], job.public_id)
    corrected(api, job, None)
    assert (hit_texts(api, "天气"), hit_texts(api, "天汽")) == ([], [HEARD[0]])
    other = completed(api.database, submitted(api.database, tenant="other"), *HEARD)
    jobs.correct(api.database, other, 0, "别人的天气。")
    assert hit_texts(api, "天气") == []


def test_search_goes_on_behind_a_cursor_over_both_kinds(api: Api) -> None:
    job = completed(api.database, None, *(f"预算第{n}句。" for n in range(6)))
    for number in (1, 4):
        corrected(api, job, f"预算改{number}。", number=number)
    seen: list[str] = []
    after = None
    while True:
        page = api.get("/search", params={"q": "预算", "limit": 2} | ({"after": after} if after else {})).json()
        seen += [hit["text"] for hit in page["data"]]
        if (after := page["next"]) is None:
            break
    assert seen == ["预算第0句。", "预算改1。", "预算第2句。", "预算第3句。", "预算改4。", "预算第5句。"]


def test_deleting_a_job_deletes_its_edits_and_no_others(api: Api, job: Job) -> None:
    other = completed(api.database, None, *HEARD)
    corrected(api, other, "留下。")
    for number in range(3):
        corrected(api, job, "改。", number=number)
    assert one(api.database, "SELECT count(*) FROM edits") == 4
    assert api.client.delete(f"/v1/transcriptions/{job.public_id}").status_code == 204
    assert rows(api.database, "SELECT text FROM edits") == [("留下。",)]
    assert hit_texts(api, "改") == []


def test_the_client_corrects(job: Job, client: Client) -> None:
    sentence = client.correct(job.public_id, 0, "今天天气很好。", revision=0)
    assert sentence.edit is not None
    assert (sentence.text, sentence.edit.machine_text, sentence.edit.revision) == ("今天天气很好。", HEARD[0], 1)
    assert client.transcript(job.public_id).text.startswith("今天天气")
    assert client.transcript(job.public_id, machine=True).text.startswith("今天天汽")
    assert client.text(job.public_id, "txt", machine=True).splitlines()[0] == HEARD[0]
    with pytest.raises(ApiError) as error:
        client.correct(job.public_id, 0, "别的。", revision=0)
    assert error.value.code == "edit_conflict"
    with pytest.raises(ApiError) as error:
        client.correct(job.public_id, 1, "别的。", machine_text=HEARD[0])
    assert error.value.code == "edit_conflict"
    assert client.correct(job.public_id, 0, None).text == HEARD[0]
    with pytest.raises(NotFound):
        client.correct(job.public_id, 9, "a")
