"""Corrections: stored beside the recognised text, used in every format, searchable, and deleted with the job."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from common import jobs, keys
from common.jobs import Job
from common.keys import NewKey, Scope
from common.models import DEFAULT_TENANT
from common.transcript.values import Sentence
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import (
    NO_LIMIT,
    at_once,
    completed,
    execute,
    one,
    rows,
    submitted,
)

HEARD = ("今天天汽很好。", "我们开始八。", "再见。")


@pytest.fixture
def job(api: Api) -> Job:
    return completed(api.database, None, *HEARD)


def path_of(job: Job, number: int = 0) -> str:
    return f"/v1/transcriptions/{job.public_id}/sentences/{number}"


def corrected(api: Api, job: Job, text: str | None, number: int = 0, **more: Any) -> dict[str, Any]:
    answer = api.client.patch(path_of(job, number), json={"text": text, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert api.client.get(path_of(job, number)).json() == body
    return body


def transcript(api: Api, job: Job, form: str = "json", **more: Any) -> str:
    answer = api.get(f"/{job.public_id}/transcript", params={"format": form, **more})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_correction_stands_beside_what_the_machine_heard(api: Api, job: Job) -> None:
    before = json.loads(transcript(api, job))
    sentence = corrected(api, job, "今天天气很好。")
    assert (sentence["number"], sentence["text"], sentence["start_ms"], sentence["end_ms"]) == (
        0,
        "今天天气很好。",
        0,
        600,
    )
    assert [word["text"] for word in sentence["words"]] == list("今天天汽很好"), "words and times stay the machine's"
    edit = sentence["edit"]
    assert (edit["text"], edit["machine_text"], edit["revision"]) == ("今天天气很好。", HEARD[0], 1)
    assert edit["edited_at"].endswith("Z")
    assert edit["edited_by"].startswith("key_")
    after = json.loads(transcript(api, job))
    assert after["sentences"][0] == sentence
    assert after["sentences"][1:] == before["sentences"][1:], "nobody changed these"
    assert all("edit" not in item for item in after["sentences"][1:])
    assert after["text"] == "今天天气很好。我们开始八。再见。"


@pytest.mark.parametrize("form", ["json", "txt", "srt", "vtt"])
def test_every_form_has_either_text(api: Api, job: Job, form: str) -> None:
    machine = transcript(api, job, form)
    corrected(api, job, "今天天气很好。")
    assert "今天天气很好。" in transcript(api, job, form)
    assert transcript(api, job, form, text="edited") == transcript(api, job, form)
    as_heard = transcript(api, job, form, text="machine")
    if form == "json":
        body = json.loads(as_heard)
        assert body["sentences"][0]["text"] == HEARD[0]
        assert body["text"] == "".join(HEARD)
        assert body["sentences"][0]["edit"]["text"] == "今天天气很好。", "JSON carries both"
    else:
        assert as_heard == machine
        assert "今天天汽" not in transcript(api, job, form)
    problem_of(api.get(f"/{job.public_id}/transcript", params={"text": "best"}), 422, "invalid_request")


def test_a_long_correction_becomes_cues_with_times_from_the_words_that_are_still_there(api: Api) -> None:
    job = completed(api.database, None, "这个季度的质量下降了百分之二十四，我们要多说一些，比去年好很多。")
    corrected(api, job, "这一个季度的质量，下降了二十五个百分点，我们一定要多说一些，因为它比去年好了很多。")
    cues = [cue.split("\n")[1:3] for cue in transcript(api, job, "srt").strip().split("\n\n")]
    assert "".join(text for _, text in cues).endswith("因为它比去年好了很多。")
    assert len(cues) >= 3
    times = [[_ms(time) for time in line.split(" --> ")] for line, _ in cues]
    assert times[0][0] == 0, "a cue stands for a second"
    assert times[-1][1] >= 2900, "a cue stands for a second"
    assert all(start < end for start, end in times)
    assert all(before[1] <= after[0] for before, after in pairwise(times))
    [last] = [time for (_, text), time in zip(cues, times, strict=True) if "去年" in text]
    assert last[0] <= 2300 + 200, "比去年 was said at 2.3 s"
    assert last[1] >= 2500, "比去年 was said at 2.3 s"


def test_readers_do_not_align_a_correction_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 letters over 150 equal words once took 5 s of processor time at every GET of the subtitles."""
    job = completed(api.database, None, "好" * 150, "再见。")
    corrected(api, job, "好" * 5_000)
    corrected(api, job, "再见了。", 1)
    first = transcript(api, job, "srt")

    def again(*_arguments: Any) -> None:
        raise AssertionError("a stored correction was aligned again")

    with monkeypatch.context() as patch:
        patch.setattr("common.transcript.realign.realigned", again)
        assert transcript(api, job, "srt") == first
        assert "再见了" in transcript(api, job, "vtt")
    # As a process of an older version leaves it: another text, and the words of the one before.
    execute(api.database, "UPDATE edits SET text = '你们再见。' WHERE number = 1")
    assert "你们再见" in transcript(api, job, "srt")


def _ms(clock: str) -> int:
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000)


def test_back_to_the_machines_text(api: Api, job: Job) -> None:
    corrected(api, job, "今天天气很好。")
    for undo in (None, HEARD[0]):  # typed back, it is the machine's again
        sentence = corrected(api, job, undo)
        assert (sentence["text"], sentence["edit"]["text"], sentence["edit"]["revision"]) == (HEARD[0], None, 2)
    assert corrected(api, job, "别的。", revision=2)["edit"]["revision"] == 3
    assert "edit" not in corrected(api, job, HEARD[1], number=1), "nothing was changed, nothing is kept"
    assert one(api.database, "SELECT count(*) FROM edits") == 1


def test_who_saw_an_older_text_is_told(api: Api, job: Job) -> None:
    corrected(api, job, "甲。", revision=0)
    problem = problem_of(api.client.patch(path_of(job), json={"text": "乙。", "revision": 0}), 409, "edit_conflict")
    assert not problem["retryable"]
    [current] = problem["current"]
    assert (current["number"], current["text"], current["edit"]["revision"]) == (0, "甲。", 1)
    assert api.client.get(path_of(job)).json()["text"] == "甲。"
    assert corrected(api, job, "甲。", revision=0)["edit"]["revision"] == 1, "a repeat of what is done"
    assert corrected(api, job, "乙。", revision=1)["edit"]["revision"] == 2
    assert corrected(api, job, "丙。")["edit"]["revision"] == 3, "without a revision, the last one wins"


def test_a_correction_of_a_sentence_that_is_another_one_by_now_is_refused(api: Api, job: Job) -> None:
    """Numbers change when a run is repeated, and when sentences are cut where the speaker changes."""
    moved = {"text": "再见啦。", "machine_text": HEARD[2]}
    problem_of(api.client.patch(path_of(job, 1), json=moved), 409, "edit_conflict")
    problem_of(api.client.patch(path_of(job, 1), json=moved | {"text": None}), 409, "edit_conflict")
    assert "edit" not in api.client.get(path_of(job, 1)).json()
    assert corrected(api, job, "再见啦。", 2, machine_text=HEARD[2])["edit"]["machine_text"] == HEARD[2]
    assert corrected(api, job, "再见了。", 2, machine_text=HEARD[2], revision=1)["edit"]["revision"] == 2


def test_of_many_at_once_one_wins(api: Api, job: Job) -> None:
    def write(text: str) -> int:
        return api.client.patch(path_of(job), json={"text": text, "revision": 0}).status_code

    statuses = at_once([lambda text=f"第{n}个。": write(text) for n in range(6)])  # type: ignore[misc]
    assert sorted(statuses) == [200] + [409] * 5
    assert one(api.database, "SELECT revision FROM edits") == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": " \n\u3000"},
        {"text": "a\x00b"},
        {"text": "a\x1bb"},
        {"text": "\ud800"},
        {"text": "长" * 5001},
        {"text": 1},
        {"text": "a", "revision": -1},
        {"text": "a", "revision": "0"},
        {"text": "a", "words": []},
    ],
    ids=str,
)
def test_what_is_no_correction(api: Api, job: Job, body: dict[str, Any]) -> None:
    answer = api.client.patch(path_of(job), content=json.dumps(body), headers={"Content-Type": "application/json"})
    problem_of(answer, 422, "invalid_request")
    assert rows(api.database, "SELECT * FROM edits") == []


def test_a_correction_stays_on_its_line(api: Api, job: Job) -> None:
    assert corrected(api, job, " 第一行\n\n 第二行\t。 ")["text"] == "第一行 第二行 。"
    assert corrected(api, job, "长" * 5000)["text"] == "长" * 5000


def test_where_there_is_nothing_to_correct(api: Api, job: Job) -> None:
    problem_of(api.client.patch(path_of(job, 3), json={"text": "a"}), 404, "not_found")
    problem_of(api.client.get(path_of(job, 3)), 404, "not_found")
    for number in ("-1", "x", "99999999999"):
        answer = api.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/{number}", json={"text": "a"})
        problem_of(answer, 422, "invalid_request")
    queued = submitted(api.database)
    problem_of(api.client.patch(path_of(queued), json={"text": "a"}), 404, "not_found")
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '9 days' WHERE id = :id", id=job.id)
    corrected(api, job, "a")
    assert jobs.expire_results(api.database, NO_LIMIT, after_seconds=3600) == 1
    problem_of(api.client.patch(path_of(job), json={"text": "a"}), 410, "expired")
    assert rows(api.database, "SELECT * FROM edits") == []


def test_a_correction_needs_the_right_to_submit(api: Api, job: Job) -> None:
    _, reader = keys.create(api.database, NewKey("reader", DEFAULT_TENANT, frozenset({Scope.READ})))
    headers = {"Authorization": f"Bearer {reader}"}
    problem_of(api.client.patch(path_of(job), json={"text": "a"}, headers=headers), 403, "forbidden")
    assert api.client.get(path_of(job), headers=headers).status_code == 200


def test_an_edit_is_a_sentences_own(job: Job, api: Api) -> None:
    sentence = jobs.correct(api.database, job, 1, "我们开始吧。")
    assert isinstance(sentence, Sentence)
    assert sentence.edit is not None
    assert sentence.edit.edited_by is None
    assert [item.text for item in jobs.sentences(api.database, job)] == [HEARD[0], "我们开始吧。", HEARD[2]]
    assert [item.text for item in jobs.sentences(api.database, job, machine=True)] == list(HEARD)
