"""OpenAI's call while the job runs: streams, the limit of the wait, clients that leave."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from api.openai.routes import _events as openai_events
from common import jobs
from common.jobs import Claim
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.api.test_api_openai import SAID, TEXTS, audio, played, sdk, waiting
from tests.db.job_cases import (
    FINISHED,
    NO_LIMIT,
    complete,
    completed,
    execute,
    fail,
    one,
    part,
    rows,
)
from tests.waiting import until

PATIENCE_SECONDS = 3.0


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
