"""OpenAI's calls, made with OpenAI's own Python SDK; the worker's side is played by the test."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from common import jobs, vocabularies
from common.job_states import Status
from common.jobs import Claim
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.db.job_cases import (
    FINISHED,
    at_once,
    claimed,
    complete,
    one,
    part,
    rows,
    with_worker,
)
from tests.servers import ADMIN_KEY
from tests.waiting import until

TEXTS = ("你好，世界。", "Hello world.", "Goodbye.")
SAID = "你好，世界。Hello world. Goodbye."


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), openai_wait_seconds=20) as api:
        yield api


def sdk(api: Api, key: str = ADMIN_KEY) -> OpenAI:
    client = openai.DefaultHttpxClient(trust_env=False, timeout=60)
    return OpenAI(base_url=f"{api.client.base_url}/v1", api_key=key, http_client=client)


def audio(content: bytes = b"RIFF audio") -> io.BytesIO:
    file = io.BytesIO(content)
    file.name = "meeting.wav"
    return file


def waiting(api: Api) -> Claim:
    """The job that a call has made, taken by a worker."""
    [[job_id]] = until(lambda: rows(api.database, "SELECT id FROM jobs WHERE status = 'queued'"))
    return claimed(api.database, jobs.get(api.database, job_id))


def waiters(api: Api) -> int:
    """How many calls wait for a job."""
    return sum(len(events) for events in list(api.service.notifications._waiting.values()))


def played(api: Api, act: Callable[[Api, Claim], None]) -> threading.Thread:
    """A worker in a thread, which takes the next job."""
    thread = threading.Thread(target=lambda: act(api, waiting(api)))
    thread.start()
    return thread


def transcribed(api: Api, **options: Any) -> Any:
    worker = played(api, lambda api, held: complete(api.database, held, *TEXTS))
    try:
        return sdk(api).audio.transcriptions.create(file=audio(), **({"model": "whisper-1"} | options))
    finally:
        worker.join(30)


def test_json_is_what_a_program_gets_that_asks_for_nothing(api: Api) -> None:
    answer = transcribed(api, language="zh", prompt="会议", temperature=0.2)
    assert answer.text == SAID
    assert (answer.usage.type, answer.usage.seconds) == ("duration", 10)
    [[model, priority, tags, status]] = rows(api.database, "SELECT model, priority, tags, status FROM jobs")
    assert (model, priority, tags, status) == ("demo-zh", 9, ["openai"], Status.COMPLETED)


def test_text_srt_and_vtt(api: Api) -> None:
    assert transcribed(api, response_format="text", model="gpt-4o-transcribe") == SAID + "\n"
    srt = sdk(api).audio.transcriptions.create(file=audio(), model="demo-zh", response_format="srt")
    assert "00:00:00,000 --> 00:00:02,000\n你好，世界。Hello world." in srt
    vtt = sdk(api).audio.transcriptions.create(file=audio(), model="demo-zh", response_format="vtt")
    assert vtt.startswith("WEBVTT")
    assert one(api.database, "SELECT count(*) FROM jobs") == 1  # the finished one was found


def test_verbose_json_has_segments_or_words_or_both(api: Api) -> None:
    answer = transcribed(api, response_format="verbose_json")
    assert (answer.text, answer.duration, answer.language) == (SAID, 10.0, "chinese")
    assert answer.words is None
    assert [(item.id, item.start, item.end, item.text) for item in answer.segments] == [
        (0, 0.0, 0.4, TEXTS[0]),
        (1, 1.0, 2.0, TEXTS[1]),
        (2, 2.0, 2.7, TEXTS[2]),
    ]
    assert answer.segments[0].avg_logprob == pytest.approx(-0.1054, abs=1e-3)
    create = sdk(api).audio.transcriptions.create
    options: dict[str, Any] = {"file": audio(), "model": "whisper-1", "response_format": "verbose_json"}
    words = create(**options, timestamp_granularities=["word"])
    assert words.segments is None
    assert [(item.word, item.start, item.end) for item in words.words[:2]] == [("你", 0.0, 0.1), ("好", 0.1, 0.2)]
    options["file"] = audio()
    both = create(**options, timestamp_granularities=["word", "segment"])
    assert len(both.segments) == 3
    assert len(both.words) == 4 + 10 + 7


def test_a_segmentation_may_be_named(api: Api) -> None:
    transcribed(api, extra_body={"segmentation": "meeting"})
    [[job_id]] = rows(api.database, "SELECT id FROM jobs")
    assert jobs.get(api.database, job_id).options.segmentation == "meeting"
    with pytest.raises(openai.BadRequestError):
        sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1", extra_body={"segmentation": "opera"})


def test_a_vocabulary_may_be_named(api: Api) -> None:
    lists = {"hotwords": ["王晓明"], "masked_words": ["坏蛋"]}
    words = vocabularies.create(api.database, tenant="default", name="names", **lists)
    held: list[Claim] = []

    def act(api: Api, claim: Claim) -> None:
        held.append(claim)
        complete(api.database, claim, *TEXTS)

    worker = played(api, act)
    create = sdk(api).audio.transcriptions.create
    create(file=audio(), model="whisper-1", extra_body={"vocabulary_id": words.public_id})
    worker.join(30)
    assert (held[0].text_rules.hotwords, held[0].text_rules.masked_words) == (("王晓明",), ("坏蛋",))
    with pytest.raises(openai.NotFoundError):
        create(file=audio(), model="whisper-1", extra_body={"vocabulary_id": "voc_0"})
    assert one(api.database, "SELECT count(*) FROM jobs") == 1


def test_no_speech_is_an_empty_text(api: Api) -> None:
    played(
        api,
        lambda api, held: jobs.complete(
            api.database, held, part(0, last=True), FINISHED, first_sentence=0, stage_ms={}
        ),
    )
    answer = sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1", response_format="verbose_json")
    assert (answer.text, answer.segments) == ("", [])


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"model": "gpt-9"}, 404, "model_not_found"),
        ({"response_format": "yaml"}, 400, "invalid_request"),
        ({"timestamp_granularities": ["word"]}, 400, "invalid_request"),
        ({"temperature": 7}, 400, "invalid_request"),
        ({"file": b""}, 400, "audio_empty"),
    ],
)
def test_what_is_refused_and_how(api: Api, options: dict[str, Any], status: int, code: str) -> None:
    arguments: dict[str, Any] = {"file": audio(options.pop("file", b"RIFF")), "model": "whisper-1"} | options
    with pytest.raises(openai.APIStatusError) as caught:
        sdk(api).audio.transcriptions.create(**arguments)
    error = caught.value
    assert (error.status_code, error.code) == (status, code)
    assert error.response.headers["content-type"] == "application/json"
    assert set(error.response.json()) == {"error"}
    assert {"message", "type", "param", "code"} <= set(error.response.json()["error"])
    assert api.objects() == []


def test_a_wrong_key_is_theirs_too(api: Api) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk(api, "pq_live_wrong").audio.transcriptions.create(file=audio(), model="whisper-1")
    assert caught.value.code == "invalid_api_key"


def test_models_are_listed_and_found(api: Api) -> None:
    with_worker(api.database)
    models = list(sdk(api).models.list())
    assert [(item.id, item.object, item.owned_by) for item in models] == [("demo-zh", "model", "paraqueue")]
    assert abs(models[0].created - time.time()) < 60
    assert sdk(api).models.retrieve("demo-zh").id == "demo-zh"
    assert sdk(api).models.retrieve("whisper-1").id == "whisper-1"
    with pytest.raises(openai.NotFoundError) as caught:
        sdk(api).models.retrieve("gpt-9")
    assert caught.value.code == "not_found"
    body = caught.value.response.json()
    assert (body["code"], body["status"]) == ("not_found", 404)  # problem details, with their error beside


def test_two_repeats_at_once_share_a_job(api: Api) -> None:
    def slowly(api: Api, held: Claim) -> None:
        until(lambda: waiters(api) == 5)
        complete(api.database, held, *TEXTS)

    worker = played(api, slowly)
    call = lambda: sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1").text  # noqa: E731
    assert at_once([call] * 5) == [SAID] * 5
    worker.join(30)
    assert one(api.database, "SELECT count(*) FROM jobs") == len(api.objects()) == 1


def test_a_broken_form_is_an_error_in_their_form(api: Api) -> None:
    answer = api.client.post("/v1/audio/transcriptions", content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert json.loads(answer.text)["error"]["type"] == "invalid_request_error"
