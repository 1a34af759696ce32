"""What people made of a sentence is kept with who and when; words that they have checked are no longer unsure."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from common import jobs, keys
from common.jobs import Attributed, Correction, Finished, Job
from common.jobs.reading.edits import KEPT_REVISIONS
from common.keys import NewKey, Scope
from common.models import DEFAULT_TENANT
from paraqueue import ApiError, Client
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import MODEL, claimed, completed, one, part, rows, sentence

HEARD = ("今天天汽很好。", "我们开始八。", "再见。")


@pytest.fixture
def job(api: Api) -> Job:
    return completed(api.database, None, *HEARD)


def patched(api: Api, job: Job, number: int = 0, **body: Any) -> dict[str, Any]:
    answer = api.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/{number}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def history(api: Api, job: Job, number: int = 0, **more: Any) -> list[dict[str, Any]]:
    answer = api.client.get(f"/v1/transcriptions/{job.public_id}/sentences/{number}/history", **more)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def test_every_change_is_told_with_who_and_what_was_before(api: Api, job: Job) -> None:
    assert history(api, job) == []
    _, secret = keys.create(api.database, NewKey("小王", DEFAULT_TENANT, frozenset({Scope.SUBMIT, Scope.READ})))
    own: dict[str, Any] = {"headers": {"Authorization": f"Bearer {secret}"}}
    api.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/0", json={"text": "甲。"}, **own)
    patched(api, job, text="乙。")
    patched(api, job, text="乙。")  # says nothing new
    patched(api, job, confirmed=[1, 0, 1])
    patched(api, job, text=None)
    told = history(api, job)
    assert [(item["revision"], item["text_before"], item["text"], item["confirmed"]) for item in told] == [
        (4, "乙。", HEARD[0], [0, 1]),
        (3, "乙。", "乙。", [0, 1]),
        (2, "甲。", "乙。", []),
        (1, HEARD[0], "甲。", []),
    ]
    assert told[3]["edited_by_name"] == "小王"
    assert told[3]["edited_by"] != told[2]["edited_by"]
    assert told[0]["edited_at"] >= told[3]["edited_at"]
    assert history(api, job, 1) == []
    missing = api.client.get(f"/v1/transcriptions/{job.public_id}/sentences/9/history")
    problem_of(missing, 404, "not_found")


def test_of_very_many_changes_the_newest_are_kept(api: Api, job: Job) -> None:
    for number in range(KEPT_REVISIONS + 5):
        jobs.correct(api.database, job, 0, f"第{number}次。")
    told = history(api, job)
    assert len(told) == KEPT_REVISIONS + 1
    assert [item["revision"] for item in told] == list(range(KEPT_REVISIONS + 5, 4, -1))
    assert told[-1]["text_before"] is None
    assert told[-2]["text_before"] == told[-1]["text"]


def test_confirmations_push_no_text_out_of_the_history(api: Api, job: Job) -> None:
    for text in ("甲。", "乙。", "丙。"):
        jobs.correct(api.database, job, 0, text)
    for number in range(2 * KEPT_REVISIONS):
        confirmation = Correction(0, None, confirmed=(number % 2,), keeps_text=True)
        jobs.correct_all(api.database, job, [confirmation])
    jobs.correct(api.database, job, 0, "丁。")
    told = history(api, job)
    assert [(item["text_before"], item["text"]) for item in (told[0], *told[-3:])] == [
        ("丙。", "丁。"),
        ("乙。", "丙。"),
        ("甲。", "乙。"),
        (HEARD[0], "甲。"),
    ]
    assert {(item["text_before"], item["text"]) for item in told[1:-3]} == {("丙。", "丙。")}
    newest = 2 * KEPT_REVISIONS + 4
    assert [item["revision"] for item in told] == [*range(newest, KEPT_REVISIONS + 3, -1), 3, 2, 1]


def test_a_correction_of_many_is_in_the_history_of_each(api: Api, job: Job) -> None:
    for text in ("一。", "二。"):
        jobs.correct_all(api.database, job, [Correction(number, text) for number in range(3)])
    assert [[item["text"] for item in history(api, job, number)] for number in range(3)] == [["二。", "一。"]] * 3


def test_a_confirmed_word_is_sure_wherever_it_is_shown(api: Api) -> None:
    held = claimed(api.database)
    unsure = part(0, HEARD[0], last=True)
    [said] = unsure.sentences
    words = tuple(replace(word, confidence=0.2 if place in (2, 3) else 0.9) for place, word in enumerate(said.words))
    unsure = replace(unsure, sentences=(replace(said, words=words, confidence=0.6),))
    finished = Finished(MODEL, "r1", "fp32", channels=1, audio_ms=600, processing_ms=5, no_speech=False)
    jobs.complete(api.database, held, unsure, finished, first_sentence=0, stage_ms={})
    job = jobs.get(api.database, held.job.id)

    shown = patched(api, job, confirmed=[3], revision=0)
    assert shown["text"] == HEARD[0]
    assert [(word["confidence"], word.get("confirmed", False)) for word in shown["words"]] == [
        (0.9, False),
        (0.9, False),
        (0.2, False),
        (1.0, True),
        (0.9, False),
        (0.9, False),
    ]
    assert shown["confidence"] == pytest.approx((0.9 * 4 + 0.2 + 1) / 6, abs=1e-4)
    assert (shown["edit"]["text"], shown["edit"]["revision"]) == (None, 1)
    read = api.get(f"/{job.public_id}/transcript").json()["sentences"][0]
    assert read == shown
    table = api.get(f"/{job.public_id}/transcript", params={"format": "csv"}).text
    assert float(next(csv.DictReader(io.StringIO(table.lstrip("\ufeff"))))["confidence"]) == shown["confidence"]
    machine = api.get(f"/{job.public_id}/transcript", params={"text": "machine"}).json()["sentences"][0]
    assert machine["words"][3]["confidence"] == 0.2
    assert "confirmed" not in machine["words"][3]
    assert machine["confidence"] == 0.6
    assert api.get("/search", params={"q": "天汽"}).json()["data"][0]["text"] == HEARD[0]

    both = patched(api, job, text="今天天气很好。", confirmed=[3, 4])
    assert (both["text"], both["edit"]["revision"]) == ("今天天气很好。", 2)
    kept = patched(api, job, text="今天天气非常好。")
    assert kept["words"][4]["confirmed"], "a text says nothing of the words"
    none = patched(api, job, confirmed=[])
    assert none["words"] == machine["words"]
    assert none["text"] == "今天天气非常好。"


def test_what_cannot_be_confirmed(api: Api, job: Job) -> None:
    path = f"/v1/transcriptions/{job.public_id}/sentences/0"
    for body in ({"confirmed": [6]}, {"confirmed": [-1]}, {"confirmed": ["1"]}, {"confirmed": None}):
        problem_of(api.client.patch(path, json=body), 422, "invalid_request")
    patched(api, job, confirmed=[0], revision=0)
    problem_of(api.client.patch(path, json={"confirmed": [1], "revision": 0}), 409, "edit_conflict")
    assert rows(api.database, "SELECT confirmed FROM edits") == [([0],)]


def test_history_and_confirmed_words_move_with_their_sentence(api: Api) -> None:
    held = claimed(api.database)
    jobs.commit_part(api.database, held, part(0, *HEARD), first_sentence=0)
    job = jobs.get(api.database, held.job.id)
    patched(api, job, 2, text="再见啦。")
    patched(api, job, 2, confirmed=[1])
    patched(api, job, 1, confirmed=[0])
    before = history(api, job, 2)
    finished = Finished(MODEL, "r1", "fp32", channels=1, audio_ms=10_000, processing_ms=5, no_speech=False)
    pieces = [
        [sentence("今天。", 0), sentence("天汽很好。", 400)],
        [sentence(HEARD[1], 1000)],
        [sentence(HEARD[2], 2000)],
    ]
    attributed = Attributed([[replace(item, speaker=1) for item in some] for some in pieces])
    jobs.complete(
        api.database, held, part(1, last=True), finished, first_sentence=3, stage_ms={}, attributed=attributed
    )
    assert history(api, job, 3) == before
    moved = [item.words[1].confirmed for item in jobs.sentences(api.database, jobs.get(api.database, job.id))]
    assert moved == [False, False, False, True]
    assert one(api.database, "SELECT count(*) FROM earlier_edits") == 1


def test_the_client_confirms_and_tells_the_history(job: Job, client: Client) -> None:
    assert client.confirm(job.public_id, 0, [3], revision=0).words[3].confirmed
    client.correct(job.public_id, 0, "今天天气很好。")
    newest, first = client.history(job.public_id, 0)
    assert (newest.text_before, newest.text, newest.confirmed) == (HEARD[0], "今天天气很好。", (3,))
    assert (first.revision, first.text) == (1, HEARD[0])
    with pytest.raises(ApiError) as error:
        client.confirm(job.public_id, 0, [99])
    assert error.value.code == "invalid_request"
