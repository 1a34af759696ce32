"""OpenAI's official SDKs against the whole service with the bundled model; only base URL and key are changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import DefaultHttpxClient, OpenAI

from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.e2e.service import Service, fresh_service
from tests.js import node
from tests.servers import ADMIN_KEY, running_http_server

MEETING = REPOSITORY / "samples" / "meeting.mp3"
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with fresh_service(postgres, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def client(service: Service) -> OpenAI:
    http_client = DefaultHttpxClient(trust_env=False, timeout=600)
    return OpenAI(base_url=f"{service.url}/v1", api_key=ADMIN_KEY, http_client=http_client)


@pytest.fixture(scope="module")
def streamed(client: OpenAI) -> list[Any]:
    """The first call of all: it is transcribed while the events come."""
    return list(client.audio.transcriptions.create(file=MEETING, model="gpt-4o-transcribe", stream=True))


@pytest.fixture(scope="module")
def verbose(client: OpenAI, streamed: list[Any]) -> Any:
    """The same again; the job of the stream is found."""
    assert streamed
    return client.audio.transcriptions.create(
        file=MEETING, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )


def test_the_stream_comes_in_parts_and_adds_up(streamed: list[Any]) -> None:
    *deltas, done = streamed
    assert [event.type for event in deltas] == ["transcript.text.delta"] * len(deltas)
    assert len(deltas) > 2  # more than one part was committed on the way
    assert "".join(event.delta for event in deltas) == done.text
    assert done.type == "transcript.text.done"
    assert len(done.text) > 500


def test_times_and_text_are_those_of_our_own_call(service: Service, streamed: list[Any], verbose: Any) -> None:
    [job] = service.client.get("/v1/transcriptions").json()["data"]  # all calls were about one job
    assert (job["tags"], job["priority"], job["source"]["name"]) == (["openai"], 9, "meeting.mp3")
    ours = service.transcript(job["id"]).json()
    assert verbose.text == streamed[-1].text == ours["text"]
    assert verbose.duration == job["audio_ms"] / 1000
    assert [(item.start, item.end, item.text) for item in verbose.segments] == [
        (item["start_ms"] / 1000, item["end_ms"] / 1000, item["text"]) for item in ours["sentences"]
    ]
    assert [item.word for item in verbose.words] == [
        word["text"] for item in ours["sentences"] for word in item["words"]
    ]


def test_the_javascript_sdk_gets_the_same(service: Service, verbose: Any) -> None:
    with node("transcribe.mjs", f"{service.url}/v1", str(MEETING), API_KEY=ADMIN_KEY) as process:
        out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    seen = json.loads(out)
    forms = seen["forms"]
    assert forms["json"] == verbose.text
    assert forms["text"] == verbose.text + "\n"
    assert forms["srt"].startswith("1\n00:00:")
    assert forms["vtt"].startswith("WEBVTT")
    assert [item["text"] for item in forms["verbose_json"]["segments"]] == [item.text for item in verbose.segments]
    assert len(forms["verbose_json"]["words"]) == len(verbose.words)
    assert seen["events"][-1]["text"] == verbose.text
    assert "".join(event.get("delta", "") for event in seen["events"]) == verbose.text
    assert seen["models"] == ["demo-zh"]
    assert (seen["error"]["name"], seen["error"]["status"]) == ("NotFoundError", 404)
    assert seen["error"]["code"] == "model_not_found"
    assert seen["error"]["id"]


def test_a_file_that_is_no_audio_is_a_bad_request(client: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "letter.mp3"
    path.write_bytes(b"Dear Sir or Madam, " * 500)
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(file=path, model="whisper-1")
    assert caught.value.code == "audio_not_decodable"


def test_a_link_takes_the_transcript_of_the_same_audio(service: Service, verbose: Any) -> None:
    """`dedupe` where the hash is known only after the download."""
    with running_http_server(MEETING.parent) as server:
        answer = service.client.post(
            "/v1/transcriptions", json={"audio_url": server.url("meeting.mp3"), "dedupe": True}
        )
        job = service.finished(answer.json()["id"])
    [earlier] = service.client.get("/v1/transcriptions?tag=openai&status=completed").json()["data"]
    assert job["deduplicated_from"] == earlier["id"]
    assert job["result"]["processing_ms"] == 0
    assert service.transcript(job["id"]).json()["text"] == verbose.text
