"""Speakers over HTTP: asked for in every way, shown in every form, named, merged and given sentences."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from common import jobs
from common.jobs import Attributed, Job, Worker
from common.options.model_cards import ModelCard
from common.options.transcription import TranscriptionOptions
from paraqueue import Client
from paraqueue.cli.speakers import speaker_options
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import FINISHED, MODEL, claimed, completed, part, sentence, submitted

LINK = "https://example.com/a.mp3"


@pytest.fixture
def job(api: Api) -> Job:
    """甲来了。 (speaker 1) 乙也来了。 (2) 好。 (1)"""
    return ended(api)


def ended(api: Api) -> Job:
    claim = claimed(api.database, submitted(api.database, options=TranscriptionOptions(speakers=True)))
    said = [("甲来了。", 0, 1), ("乙也来了。", 2000, 2), ("好。", 4000, 1)]
    pieces = [[replace(sentence(text, at), speaker=speaker)] for text, at, speaker in said]
    last = part(0, *[text for text, _, _ in said], last=True)
    jobs.complete(api.database, claim, last, FINISHED, first_sentence=0, stage_ms={}, attributed=Attributed(pieces))
    return jobs.get(api.database, claim.job.id)


def serve(api: Api, **card: Any) -> None:
    worker = Worker("w", MODEL, "r1", "fp32", "cpu", 2, card=ModelCard(description="d", **card))
    jobs.register_worker(api.database, worker)


def text_of(api: Api, job: Job, form: str, **more: Any) -> str:
    answer = api.get(f"/{job.public_id}/transcript", params={"format": form, **more})
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (False, None, None)),
        ({"speakers": True}, (True, None, None)),
        ({"speakers": 3}, (True, 3, 3)),
        ({"speakers": 1}, (True, 1, 1)),
        ({"speakers": "2"}, (True, 2, 2)),
        ({"speakers": "true", "min_speakers": 2, "max_speakers": 5}, (True, 2, 5)),
    ],
)
def test_speakers_are_asked_for(api: Api, fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    serve(api, speakers=True)
    answer = api.client.post("/v1/transcriptions", json={"audio_url": LINK, **fields})
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["speakers"], body["min_speakers"], body["max_speakers"]) == expected
    (member,) = jobs.page(api.database).jobs
    assert member.options == TranscriptionOptions(*expected)


def test_speakers_are_asked_for_with_a_file_and_in_a_batch(api: Api) -> None:
    serve(api, speakers=True)
    answer = api.client.post(
        "/v1/transcriptions", files={"file": ("a.wav", b"RIFF")}, data={"speakers": "true", "max_speakers": "4"}
    )
    assert (answer.status_code, answer.json()["max_speakers"]) == (202, 4)
    answer = api.client.post("/v1/batches", json={"audio_urls": [LINK], "speakers": 2})
    assert answer.status_code == 202, answer.text
    assert jobs.page(api.database).jobs[0].options == TranscriptionOptions(True, 2, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"speakers": 0},
        {"speakers": 51},
        {"speakers": "many"},
        {"speakers": 2.5},
        {"speakers": None},
        {"min_speakers": 2},
        {"speakers": 3, "max_speakers": 4},
        {"speakers": True, "min_speakers": 4, "max_speakers": 3},
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, fields: dict[str, Any]) -> None:
    answer = api.client.post("/v1/transcriptions", json={"audio_url": LINK, **fields})
    problem_of(answer, 422, "invalid_request")


def test_a_model_without_a_speaker_part_is_refused(api: Api) -> None:
    serve(api, speakers=False)
    answer = api.client.post("/v1/transcriptions", json={"audio_url": LINK, "speakers": True})
    problem_of(answer, 422, "speakers_unsupported")
    assert api.client.post("/v1/transcriptions", json={"audio_url": LINK}).status_code == 202


def test_json_has_speakers_on_sentences_and_words(api: Api, job: Job) -> None:
    told = json.loads(text_of(api, job, "json"))
    unnamed = {"name": None, "name_source": None, "voice_id": None, "similarity": None}
    assert told["speakers"] == [
        {"number": 1, "speech_ms": 400, "share": 0.5} | unnamed,
        {"number": 2, "speech_ms": 400, "share": 0.5} | unnamed,
    ]
    assert [item["speaker"] for item in told["sentences"]] == [1, 2, 1]
    assert {word["speaker"] for word in told["sentences"][1]["words"]} == {2}


def test_a_plain_transcript_has_none(api: Api) -> None:
    plain = completed(api.database)
    told = json.loads(text_of(api, plain, "json"))
    assert told["speakers"] is None
    assert "speaker" not in told["sentences"][0]
    problem_of(api.get(f"/{plain.public_id}/speakers"), 409, "no_speakers")


def test_a_name_is_in_every_form_and_found(api: Api, job: Job) -> None:
    answer = api.client.patch(f"/v1/transcriptions/{job.public_id}/speakers/2", json={"name": " 王 <芳> \n"})
    assert answer.status_code == 200, answer.text
    assert [item["name"] for item in answer.json()["data"]] == [None, "王 <芳>"]
    assert text_of(api, job, "txt") == "Speaker 1: 甲来了。\n王 <芳>: 乙也来了。\nSpeaker 1: 好。\n"
    assert "王 <芳>: 乙也来了。" in text_of(api, job, "srt").replace("，", "")
    assert "<v 王 &lt;芳&gt;>" in text_of(api, job, "vtt")
    assert ",Default,王 <芳>," in text_of(api, job, "ass")
    assert "王" not in text_of(api, job, "srt", speakers="false")
    (hit,) = api.get("/search", params={"q": "乙也"}).json()["data"]
    assert (hit["speaker"], hit["speaker_name"]) == (2, "王 <芳>")


@pytest.mark.parametrize("name", ["", "  ", "a" * 81, "a\x00b", 5])
def test_names_that_are_none_are_refused(api: Api, job: Job, name: Any) -> None:
    answer = api.client.patch(f"/v1/transcriptions/{job.public_id}/speakers/2", json={"name": name})
    assert answer.status_code == 422


def test_the_client_names_merges_and_assigns(client: Client, job: Job) -> None:
    id = job.public_id
    assert [item.number for item in client.speakers(id)] == [1, 2]
    assert client.assign_sentence(id, 2, 2).speaker == 2
    assert [item.speech_ms for item in client.name_speaker(id, 1, "李雷")] == [300, 500]
    (left,) = client.merge_speakers(id, 2, 1)
    assert (left.number, left.name, left.share) == (1, "李雷", 1.0)
    told = client.transcript(id)
    assert [item.speaker for item in told.sentences] == [1, 1, 1]
    assert told.speakers == (left,)
    assert [item.speaker for item in client.sentences(id)] == [1, 1, 1]


def test_a_running_job_has_no_speakers_to_change(api: Api) -> None:
    claim = claimed(api.database, submitted(api.database, options=TranscriptionOptions(speakers=True)))
    jobs.commit_part(api.database, claim, part(0, "甲。"), first_sentence=0)
    path = f"/v1/transcriptions/{claim.job.public_id}"
    assert api.client.get(f"{path}/speakers").json()["data"] == []
    problem_of(api.client.patch(f"{path}/speakers/1", json={"name": "x"}), 409, "not_ready")


def test_events_tell_the_speakers_and_then_all_sentences_again(api: Api, job: Job) -> None:
    path = f"/v1/transcriptions/{job.public_id}/events"
    told = api.client.get(path).text
    assert told.index("event: speakers") < told.index("event: sentences")
    assert "id: 1.2.s\n" in told
    before = api.client.get(path, headers={"Last-Event-ID": "1.1"}).text
    assert before.count('"text": "甲来了。"') == 1, "a reader from before the end gets all sentences"
    after = api.client.get(path, headers={"Last-Event-ID": "1.2.s"}).text
    assert "event: speakers" not in after
    assert "event: sentences" not in after


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        ("auto", {"speakers": True}),
        ("3", {"speakers": 3}),
        ("2-5", {"speakers": True, "min_speakers": 2, "max_speakers": 5}),
    ],
)
def test_the_option_of_the_command(value: str | None, expected: dict[str, Any]) -> None:
    assert speaker_options(value, no_known_voices=False) == expected
    assert speaker_options(value, no_known_voices=True) == expected | {"known_voices": False}
