"""The language that verbose_json names: the one asked for, else the one heard most, else that of the text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from api.openai.forms import OpenAIOptions, render
from common.options.transcription import TranscriptionOptions
from common.transcript.values import Sentence, Tags
from tests.db.job_cases import sentence
from tests.unit.api.test_transcription_json import QUEUED

VERBOSE = OpenAIOptions(model="whisper-1", response_format="verbose_json")


def said(content: str, language: str | None = None, start_ms: int = 0) -> Sentence:
    return sentence(content, start_ms, tags=Tags(language, None, ()) if language else None)


@pytest.mark.parametrize(
    ("asked", "sentences", "expected"),
    [
        (None, [said("你好，世界。")], "chinese"),
        (None, [said("Hello world.")], "english"),
        (None, [], "chinese"),
        ("en", [said("你好。")], "english"),
        (None, [said("你好，大家好。", "yue"), said("Hi.", "en")], "cantonese"),
        (None, [said("Hi.", "en"), said("もしもし。", "ja")], "japanese"),
        ("de", [said("Guten Tag.")], "de"),
    ],
)
def test_it_is_named_as_whisper_does(asked: str | None, sentences: list[Sentence], expected: str) -> None:
    job = replace(QUEUED, options=TranscriptionOptions(language=asked))
    body = json.loads("".join(render(VERBOSE, job, sentences, {})))
    assert body["language"] == expected
    assert body["task"] == "transcribe"
