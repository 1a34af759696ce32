"""What a model hears besides words: stored with sentences, shown with them, and kept through splits and merges."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from common import jobs
from common.transcript.values import Tags, Word
from paraqueue import Client
from tests.api.api_cases import Api
from tests.db.job_cases import FINISHED, claimed, part, submitted
from tests.servers import ADMIN_KEY

SAD, GLAD = Tags("yue", "sad", ("bgm",)), Tags("en", None, ("laughter",))


def completed(api: Api, *tags: Tags | None) -> str:
    """A job with a sentence of two words for each."""
    claim = claimed(api.database, submitted(api.database))
    last = part(0, *("早安。" for _ in tags), last=True)
    sentences = []
    for place, (said, heard) in enumerate(zip(last.sentences, tags, strict=True)):
        begin = 1000 * place
        words = (Word("早", begin, begin + 100, 0.9), Word("安", begin + 100, begin + 200, 0.9))
        sentences.append(replace(said, words=words, start_ms=begin, end_ms=begin + 200, tags=heard))
    stored = replace(last, sentences=tuple(sentences))
    jobs.complete(api.database, claim, stored, FINISHED, first_sentence=0, stage_ms={})
    return claim.job.public_id


def told(api: Api, job: str, **query: Any) -> list[dict[str, Any]]:
    sentences: list[dict[str, Any]] = json.loads(api.get(f"/{job}/transcript", **query).text)["sentences"]
    return sentences


def test_tags_are_fields_of_sentences_and_never_text(api: Api) -> None:
    job = completed(api, SAD, None)
    first, second = told(api, job)
    assert (first["language"], first["emotion"], first["events"]) == ("yue", "sad", ["bgm"])
    assert not {"language", "emotion", "events"} & second.keys()
    assert first["text"] == second["text"] == "早安。"
    with Client(str(api.client.base_url), ADMIN_KEY) as client:
        read = client.transcript(job).sentences
    assert (read[0].language, read[0].emotion, read[0].events) == ("yue", "sad", ("bgm",))
    assert (read[1].language, read[1].emotion, read[1].events) == (None, None, ())


def test_tags_stay_with_what_is_split_and_merged(api: Api) -> None:
    job = completed(api, SAD, GLAD)
    split = api.client.post(f"/v1/transcriptions/{job}/sentences/0/split", json={"at_word": 1, "revision": 0})
    assert split.status_code == 200, split.text
    assert [item["language"] for item in told(api, job)] == ["yue", "yue", "en"]
    number = told(api, job)[1]["number"]
    merged = api.client.post(
        f"/v1/transcriptions/{job}/sentences/{number}/merge", json={"revision": 1, "next_revision": 0}
    )
    assert merged.status_code == 200, merged.text
    last = told(api, job)[-1]
    assert (last["language"], last["emotion"], last["events"]) == ("yue", "sad", ["bgm", "laughter"])
    assert [item["language"] for item in told(api, job, params={"text": "machine"})] == ["yue", "en"]


def test_an_equal_job_gets_the_tags_too(api: Api) -> None:
    claim = claimed(api.database, submitted(api.database, audio_sha256="0" * 64))
    last = part(0, "早安。", last=True)
    heard = tuple(replace(item, tags=SAD) for item in last.sentences)
    jobs.complete(api.database, claim, replace(last, sentences=heard), FINISHED, first_sentence=0, stage_ms={})
    second = claimed(api.database, submitted(api.database, audio_sha256="0" * 64))
    made = {"revision": FINISHED.revision, "precision": FINISHED.precision}
    assert jobs.complete_from_duplicate(api.database, second, **made, segmentation=FINISHED.segmentation, stage_ms={})
    assert told(api, second.job.public_id)[0]["emotion"] == "sad"
