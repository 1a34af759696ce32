"""OpenAI's calls, made with OpenAI's own Python SDK; the worker's side is played by the test."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from api.openai.routes import _events as openai_events
from common import jobs, vocabularies
from common.job_states import Status
from common.jobs import Claim
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.db.job_cases import (
    FINISHED,
    NO_LIMIT,
    at_once,
    claimed,
    complete,
    completed,
    execute,
    fail,
    one,
    part,
    rows,
    with_worker,
)
from tests.servers import ADMIN_KEY
from tests.waiting import until

TEXTS = ("你好，世界。", "Hello world.", "Goodbye.")
PATIENCE_SECONDS = 3.0
SAID = "你好，世界。Hello world. Goodbye."


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), openai_wait_seconds=20) as api:
        yield api


@pytest.fixture(scope="module")
def impatient(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), openai_wait_seconds=0.2) as api:
        yield api


@pytest.fixture(scope="module")
def patient(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    place = tmp_path_factory.mktemp("api")
    with shared_api(postgres, valkey, place, openai_wait_seconds=PATIENCE_SECONDS) as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Api:
    return shared.emptied()


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


def test_a_stream_tells_each_part_when_it_is_committed(api: Api) -> None:
    go_on = threading.Event()

    def act(api: Api, held: Claim) -> None:
        jobs.commit_part(api.database, held, part(0, *TEXTS[:2]), first_sentence=0)
        assert go_on.wait(30)
        jobs.complete(api.database, held, part(1, TEXTS[2], last=True), FINISHED, first_sentence=2, stage_ms={})

    worker = played(api, act)
    seen = []
    for event in sdk(api).audio.transcriptions.create(file=audio(), model="gpt-4o-transcribe", stream=True):
        seen.append(event)
        go_on.set()  # committed text arrived before the end
    worker.join(30)
    assert [event.type for event in seen] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert [getattr(event, "delta", None) for event in seen[:2]] == ["你好，世界。Hello world.", " Goodbye."]
    assert getattr(seen[-1], "text", None) == SAID


def test_a_stream_says_why_it_ends_early(api: Api) -> None:
    worker = played(api, lambda api, held: fail(api.database, held))
    with pytest.raises(openai.APIError, match="no samples"):
        list(sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1", stream=True))
    worker.join(30)


def test_a_job_that_fails_is_an_error_in_their_form(api: Api) -> None:
    worker = played(api, lambda api, held: fail(api.database, held))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1")
    worker.join(30)
    error = caught.value
    assert (error.code, error.type, error.param) == ("audio_empty", "invalid_request_error", None)
    assert error.body["message"] == "no samples"  # type: ignore[index]
    assert error.request_id
    assert one(api.database, "SELECT count(*) FROM jobs") == 1  # sent once


def test_past_the_wait_it_answers_what_no_sdk_retries(impatient: Api) -> None:
    api = impatient.emptied()
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1")
    error = caught.value
    job_id = error.body["transcription_id"]  # type: ignore[index]
    assert error.code == "still_running"
    assert error.response.headers["x-should-retry"] == "false"
    assert error.response.headers["location"].endswith(f"/v1/transcriptions/{job_id}")
    assert api.get(f"/{job_id}").json()["status"] == "queued"
    with pytest.raises(openai.UnprocessableEntityError) as again:
        sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1")
    assert again.value.body["transcription_id"] == job_id  # type: ignore[index]
    assert one(api.database, "SELECT count(*) FROM jobs") == len(api.objects()) == 1
    complete(api.database, waiting(api), *TEXTS)
    assert sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1").text == SAID


def test_a_stream_does_not_end_well_without_the_transcript(api: Api) -> None:
    """A transcript whose retention period ends after the call found its job."""
    job = completed(api.database, None, *TEXTS)

    async def sent() -> list[bytes]:
        return [event async for event in openai_events(api.service, job)]

    assert b"transcript.text.done" in asyncio.run(sent())[-1]
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '2 days' WHERE id = :id", id=job.id)
    assert jobs.expire_results(api.database, NO_LIMIT, after_seconds=3600) == 1
    assert [json.loads(event.removeprefix(b"data: "))["error"]["code"] for event in asyncio.run(sent())] == ["expired"]


def test_a_stream_past_the_wait_ends_with_what_no_sdk_retries(impatient: Api) -> None:
    impatient.emptied()
    with pytest.raises(openai.APIError) as raised:
        list(sdk(impatient).audio.transcriptions.create(model="whisper-1", file=audio(), stream=True))
    error: Any = raised.value.body
    assert (error["code"], error["type"]) == ("still_running", "invalid_request_error")
    [[job_id, state]] = rows(impatient.database, "SELECT id, status FROM jobs")
    assert (error["transcription_id"], state) == (f"tr_{job_id.hex}", "queued")


def test_a_stream_that_goes_on_is_not_cut_off(patient: Api) -> None:
    """It lasts longer than one wait, because text comes in between."""
    pause = 0.4 * PATIENCE_SECONDS
    assert len(TEXTS) * pause > PATIENCE_SECONDS

    def slowly(api: Api, held: Claim) -> None:
        for number, words in enumerate(TEXTS):
            time.sleep(pause)
            jobs.commit_part(api.database, held, part(number, words), first_sentence=number)

    worker = played(patient.emptied(), slowly)
    deltas: list[str] = []
    with pytest.raises(openai.APIError) as raised:
        stream = sdk(patient).audio.transcriptions.create(model="whisper-1", file=audio(), stream=True)
        deltas.extend(getattr(item, "delta", "") for item in stream)
    worker.join(20)
    assert "".join(deltas) == SAID
    body: Any = raised.value.body
    assert body["code"] == "still_running"


def test_the_job_goes_on_without_its_client(api: Api) -> None:
    with pytest.raises(openai.APITimeoutError):
        sdk(api).with_options(max_retries=0, timeout=1.0).audio.transcriptions.create(file=audio(), model="whisper-1")
    complete(api.database, waiting(api), *TEXTS)
    assert sdk(api).audio.transcriptions.create(file=audio(), model="whisper-1").text == SAID
    assert one(api.database, "SELECT count(*) FROM jobs") == 1


def test_forty_calls_wait_and_hold_nobody_up(api: Api) -> None:
    answers: list[Any] = []

    def call(number: int) -> None:
        answers.append(sdk(api).audio.transcriptions.create(file=audio(b"audio %d" % number), model="whisper-1"))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    until(lambda: one(api.database, "SELECT count(*) FROM jobs") == 40, 60)
    assert api.submit_link().status_code == 202
    assert answers == [], "the submit was served only after calls that waited"
    for [job_id] in rows(api.database, "SELECT id FROM jobs WHERE 'openai' = ANY(tags)"):
        completed(api.database, jobs.get(api.database, job_id), *TEXTS)
    for thread in threads:
        thread.join(60)
    assert [answer.text for answer in answers] == [SAID] * 40


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
