"""Options for the text over HTTP: asked for in every way, shown on the job, and part of what makes jobs equal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from common import ids, jobs
from common.options.transcription import TranscriptionOptions
from common.transcript.text_rules import TextRules, as_spoken, finished
from common.transcript.values import Word
from paraqueue import Client
from paraqueue.cli.texts import text_options
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import FINISHED, claimed, part, submitted
from tests.servers import ADMIN_KEY

LINK = "https://example.com/a.mp3"
ALL = {
    "itn": True,
    "remove_fillers": True,
    "masked_words": ["坏蛋"],
    "script": "traditional",
    "hotwords": ["吉特=>Git", "王晓明:8"],
}
OPTIONS = TranscriptionOptions(
    itn=True, remove_fillers=True, masked_words=("坏蛋",), script="traditional", hotwords=("吉特=>Git", "王晓明:8")
)


def newest(api: Api) -> TranscriptionOptions:
    return jobs.page(api.database).jobs[0].options


def test_a_link_a_batch_and_a_form_take_them(api: Api) -> None:
    answer = api.client.post("/v1/transcriptions", json={"audio_url": LINK, **ALL})
    assert answer.status_code == 202, answer.text
    assert {name: answer.json()[name] for name in ALL} == ALL
    assert newest(api) == OPTIONS
    assert api.client.post("/v1/batches", json={"audio_urls": [LINK], "itn": True}).status_code == 202
    assert newest(api) == TranscriptionOptions(itn=True)
    form = {"itn": "true", "masked_words": "坏蛋, 傻瓜", "hotwords": "王晓明, Deep Seek:3"}
    answer = api.client.post("/v1/transcriptions", files={"file": ("a.wav", b"RIFF")}, data=form)
    assert answer.status_code == 202, answer.text
    assert newest(api) == TranscriptionOptions(
        itn=True, masked_words=tuple(sorted(("坏蛋", "傻瓜"))), hotwords=("Deep Seek:3", "王晓明")
    )


def test_python_sends_them(api: Api) -> None:
    with Client(f"http://127.0.0.1:{api.port}", ADMIN_KEY) as client:
        job = client.submit(LINK, **text_options(True, True, ["坏蛋"], True, ["王晓明:8", "吉特=>Git"]))
    assert (job.itn, job.remove_fillers, job.masked_words, job.script) == (True, True, ("坏蛋",), "traditional")
    assert newest(api) == OPTIONS


@pytest.mark.parametrize(
    "fields",
    [
        {"itn": "perhaps"},
        {"script": "simplified"},
        {"masked_words": [""]},
        {"masked_words": ["*"]},
        {"masked_words": ["字" * 51]},
        {"masked_words": ["字"] * 201},
        {"hotwords": ["字"]},
        {"hotwords": ["王晓明:11"]},
        {"hotwords": ["章三", "章三=>张三"]},
        {"hotwords": ["字字"] * 201},
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, fields: dict[str, Any]) -> None:
    problem_of(api.client.post("/v1/transcriptions", json={"audio_url": LINK, **fields}), 422, "invalid_request")


def test_the_same_audio_with_other_options_is_another_job(api: Api) -> None:
    def sent(**data: str) -> Any:
        files = {"file": ("a.wav", b"RIFF")}
        return api.client.post("/v1/transcriptions", files=files, data={"dedupe": "true", **data}).json()

    first = claimed(api.database, jobs.get(api.database, ids.parsed(ids.JOB, sent(itn="true")["id"])))
    jobs.complete(api.database, first, part(0, "好。", last=True), FINISHED, first_sentence=0, stage_ms={})
    assert sent(itn="true")["id"] == first.job.public_id
    assert sent()["id"] != first.job.public_id


def test_text_spoken_and_fillers_are_shown(api: Api) -> None:
    claim = claimed(api.database, submitted(api.database, options=TranscriptionOptions(itn=True)))
    last = part(0, "嗯二十三。", last=True)
    changed = tuple(finished(item, TextRules(itn=True, remove_fillers=True)) for item in last.sentences)
    jobs.complete(api.database, claim, replace(last, sentences=changed), FINISHED, first_sentence=0, stage_ms={})
    told = json.loads(api.get(f"/{claim.job.public_id}/transcript").text)
    assert told["text"] == "23。"
    assert told["sentences"][0]["text_spoken"] == "嗯二十三。"
    found = api.client.get("/v1/transcriptions/search", params={"q": "23"}).json()["data"]
    assert [hit["text"] for hit in found] == ["23。"]


def test_what_a_hotword_replaced_is_stored(api: Api) -> None:
    options = TranscriptionOptions(hotwords=("王晓明:10", "Deep Seek"))
    claim = claimed(api.database, submitted(api.database, options=options))
    last = part(0, "嗯王小明。", last=True)
    words = tuple(Word(char, 100 * i, 100 * i + 100, 0.9) for i, char in enumerate("嗯王小明"))
    said = replace(last.sentences[0], words=(*words, Word("deepseek", 400, 500, 0.9)), text="嗯王小明 deepseek。")
    rules = replace(options.text_rules, remove_fillers=True)
    stored = finished(said, rules)
    jobs.complete(api.database, claim, replace(last, sentences=(stored,)), FINISHED, first_sentence=0, stage_ms={})
    told = json.loads(api.get(f"/{claim.job.public_id}/transcript").text)["sentences"][0]
    assert (told["text"], told["text_spoken"]) == ("王晓明 Deep Seek。", said.text)
    replaced = [word.get("replaced_from") for word in told["words"]]
    assert replaced == [None, None, "小", None, "deepseek", ""]
    assert told["words"][0]["filler"] is True
    (read,) = jobs.sentences(api.database, claim.job)
    assert read.words == stored.words
    assert finished(as_spoken(read), rules).words == stored.words
