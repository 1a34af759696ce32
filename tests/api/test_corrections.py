"""Many sentences corrected in one call: all or none, by the rules of one correction."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest

from common import jobs
from common.jobs import Job
from paraqueue import ApiError, Client, Correction
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import at_once, completed, execute, one, rows

HEARD = ("今天天汽很好。", "天汽预报八点。", "再见。")


@pytest.fixture
def job(api: Api) -> Job:
    return completed(api.database, None, *HEARD)


def correct(api: Api, job: Job, *corrections: dict[str, Any]) -> httpx.Response:
    path = f"/v1/transcriptions/{job.public_id}/corrections"
    return api.client.post(path, json={"corrections": list(corrections)})


def texts(api: Api, job: Job) -> list[str]:
    return [item.text for item in jobs.sentences(api.database, job)]


def test_sentences_are_corrected_together(api: Api, job: Job) -> None:
    answer = correct(api, job, {"number": 1, "text": "天气预报 八点。"}, {"number": 0, "text": "今天天气很好。"})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert [item["number"] for item in data] == [0, 1]
    for item in data:
        alone = api.client.get(f"/v1/transcriptions/{job.public_id}/sentences/{item['number']}").json()
        assert item == {name: alone[name] for name in ("number", "text", "edit")}
    assert [item["edit"]["revision"] for item in data] == [1, 1]
    assert texts(api, job) == ["今天天气很好。", "天气预报 八点。", "再见。"]
    assert api.get("/search", params={"q": "天汽"}).json()["data"] == []
    timed = one(api.database, "SELECT words FROM edits WHERE number = 0")
    assert "".join(word[0] for word in timed) == "今天天气很好"
    back = correct(api, job, {"number": 0, "text": None, "revision": 1}, {"number": 2, "text": None}).json()["data"]
    assert (back[0]["text"], back[0]["edit"]["text"], back[1]) == (
        HEARD[0],
        None,
        {"number": 2, "text": "再见。", "edit": None},
    )


def test_one_conflict_changes_nothing_and_is_named(api: Api, job: Job) -> None:
    jobs.correct(api.database, job, 1, "别人写的。")
    corrections = [{"number": number, "text": f"改{number}。", "revision": 0} for number in range(3)]
    problem = problem_of(correct(api, job, *corrections), 409, "edit_conflict")
    assert "sentence 1 is at revision 1" in problem["detail"]
    assert [(item["number"], item["text"]) for item in problem["current"]] == [(1, "别人写的。")]
    assert texts(api, job) == [HEARD[0], "别人写的。", HEARD[2]]
    corrections[1] |= {"revision": 1}
    corrections[2] |= {"machine_text": HEARD[0]}
    problem = problem_of(correct(api, job, *corrections), 409, "edit_conflict")
    assert "sentence 2 is not the one" in problem["detail"]
    problem_of(correct(api, job, *corrections[:2], {"number": 3, "text": "没有。"}), 404, "not_found")
    assert texts(api, job) == [HEARD[0], "别人写的。", HEARD[2]]
    assert correct(api, job, *corrections[:2]).status_code == 200
    assert correct(api, job, *corrections[:2]).status_code == 200, "a repeat of what is done"
    assert rows(api.database, "SELECT revision FROM edits ORDER BY number") == [(1,), (2,)]


def test_all_of_a_conflict_are_counted(api: Api) -> None:
    job = completed(api.database, None, *(f"第{n}句。" for n in range(13)))
    wrong = [{"number": number, "text": "改。", "revision": 7} for number in range(13)]
    problem = problem_of(correct(api, job, *wrong), 409, "edit_conflict")
    assert problem["detail"].endswith("(and 3 more)")
    assert [item["number"] for item in problem["current"]] == list(range(10))
    assert rows(api.database, "SELECT * FROM edits") == []


def test_of_many_at_once_one_wins_and_none_waits_for_another(api: Api, job: Job) -> None:
    def write(text: str, order: range) -> int:
        return correct(api, job, *({"number": n, "text": text, "revision": 0} for n in order)).status_code

    orders = [range(3), range(2, -1, -1)]
    calls = [partial(write, f"第{n}个。", orders[n % 2]) for n in range(6)]
    assert sorted(at_once(calls)) == [200] + [409] * 5
    assert len(set(texts(api, job))) == 1
    assert rows(api.database, "SELECT DISTINCT revision FROM edits") == [(1,)]


def test_a_long_transcript_is_corrected_in_one_call(api: Api) -> None:
    job = completed(api.database, None, "一。")
    execute(
        api.database,
        "INSERT INTO sentences (job_id, run, number, tenant, channel, start_ms, end_ms, confidence, text, words) "
        "SELECT job_id, run, n, tenant, channel, start_ms, end_ms, confidence, text || n, words "
        "FROM sentences, generate_series(1, 5000) n WHERE job_id = :id",
        id=job.id,
    )
    corrections = [{"number": n, "text": f"二{n}。", "machine_text": f"一。{n}", "revision": 0} for n in range(1, 5001)]
    assert len(correct(api, job, *corrections).json()["data"]) == 5000
    assert one(api.database, "SELECT count(*) FROM edits WHERE text LIKE '二%'") == 5000
    problem_of(correct(api, job, *corrections, {"number": 0, "text": "a"}), 422, "invalid_request")


@pytest.mark.parametrize(
    "corrections",
    [
        [],
        [{"number": 0}],
        [{"number": 0, "text": " "}],
        [{"number": 0, "text": "a"}, {"number": 0, "text": "b"}],
        [{"number": -1, "text": "a"}],
        [{"number": "0", "text": "a"}],
        [{"text": "a"}],
        [{"number": 0, "text": "a", "words": []}],
    ],
    ids=str,
)
def test_what_is_no_list_of_corrections(api: Api, job: Job, corrections: list[dict[str, Any]]) -> None:
    problem_of(correct(api, job, *corrections), 422, "invalid_request")
    assert rows(api.database, "SELECT * FROM edits") == []


def test_the_client_replaces_a_text(api: Api, job: Job, client: Client) -> None:
    client.correct(job.public_id, 1, "天汽，天汽。")
    planned = client.replacements(job.public_id, "天汽", "天气")
    assert planned == (
        Correction(number=0, text="今天天气很好。", revision=0, machine_text=HEARD[0]),
        Correction(number=1, text="天气，天气。", revision=1, machine_text=HEARD[1]),
    )
    assert texts(api, job)[0] == HEARD[0], "nothing is changed yet"
    assert client.correct_many(job.public_id, []) == (), "nothing is sent, which the API would refuse"
    changed = client.correct_many(job.public_id, planned)
    assert [(item.number, item.text, item.edit and item.edit.revision) for item in changed] == [
        (0, "今天天气很好。", 1),
        (1, "天气，天气。", 2),
    ]
    assert client.replacements(job.public_id, "天汽", "天气") == ()
    with pytest.raises(ApiError) as error:
        client.correct_many(job.public_id, [Correction(number=0, text="别的。", revision=0)])
    assert error.value.code == "edit_conflict"
    with pytest.raises(ValueError, match="no text"):
        client.replacements(job.public_id, "", "a")


def test_what_is_found_is_no_pattern(api: Api, client: Client) -> None:
    job = completed(api.database, None, "A.b 和 a.B。", "Axb。")
    [exact] = client.replacements(job.public_id, "A.b", r"\1")
    assert exact.text == r"\1 和 a.B。"
    [both] = client.replacements(job.public_id, "A.b", "c", ignore_case=True)
    assert both.text == "c 和 c。"
