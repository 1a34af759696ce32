"""A file of many parts through the real processes, by upload, http:// and s3://: text and times."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from dev.postgres import Postgres
from tests.db.test_source_object import client
from tests.e2e.recordings import Recording, error_rate, spoken, time_errors, write
from tests.e2e.service import Answer, Service, fresh_service, spoken_words_of, without_confidence, words_of
from tests.servers import S3, running_http_server

MAX_CER = 0.03
MAX_TIME_ERROR_MS = 300
WAYS = ("upload", "http", "s3")
# Most of it on a machine that is busy with other things: alone it takes less than one.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def service(postgres: Postgres, s3_server: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    objects = {
        "source_s3_endpoint_url": s3_server.endpoint_url,
        "source_s3_access_key_id": s3_server.access_key_id,
        "source_s3_buckets": ("*",),
        "source_s3_secret_access_key": SecretStr(s3_server.secret_access_key),
    }
    with fresh_service(postgres, tmp_path_factory.mktemp("service"), **objects) as service:
        yield service


@pytest.fixture(scope="module")
def meeting() -> Recording:
    """Some minutes of sentences and a voice that the model never saw."""
    recording = spoken(45, seed=112)
    assert recording.duration_ms >= 240_000
    return recording


@pytest.fixture(scope="module")
def meeting_mp3(meeting: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a client would send it."""
    return write(meeting.samples, tmp_path_factory.mktemp("audio") / "meeting.mp3", "-b:a", "48k")


@pytest.fixture(scope="module")
def submitted(
    service: Service, s3_server: S3, meeting_mp3: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Answer]:
    """The same recording submitted in each way; the jobs run beside each other, to their end."""
    directory = tmp_path_factory.mktemp("www")
    (directory / "会议 1.mp3").write_bytes(meeting_mp3.read_bytes())
    store = client(s3_server)
    store.create_bucket(Bucket="recordings")
    store.put_object(Bucket="recordings", Key="录音/会议 1.mp3", Body=meeting_mp3.read_bytes())
    with running_http_server(directory) as server:
        ids = {
            "upload": service.upload(meeting_mp3),
            "http": service.link(server.url("%E4%BC%9A%E8%AE%AE%201.mp3")),
            "s3": service.link("s3://recordings/录音/会议%201.mp3"),
        }
        return {way: service.finished(job_id) for way, job_id in ids.items()}


@pytest.mark.parametrize("way", WAYS)
def test_the_text_is_right(service: Service, submitted: Mapping[str, Answer], meeting: Recording, way: str) -> None:
    text = service.transcript(submitted[way]["id"], "txt").text
    rate = error_rate(meeting.sentences, text)
    print(f"{way}: CER {rate:.2%} over {meeting.duration_ms / 60_000:.1f} minutes")
    assert rate <= MAX_CER


@pytest.mark.parametrize("way", WAYS)
def test_every_sentence_is_where_it_was_spoken(
    service: Service, submitted: Mapping[str, Answer], meeting: Recording, way: str
) -> None:
    errors = time_errors(meeting.sentences, spoken_words_of(service.sentences(submitted[way]["id"])))
    away = [abs(error) for pair in errors for error in pair]
    far = (
        [
            (round(pair[0]), round(pair[1]), sentence.text)
            for pair, sentence in zip(errors, meeting.sentences, strict=True)
            if math.isinf(pair[0]) or max(map(abs, pair)) > MAX_TIME_ERROR_MS
        ]
        if not any(math.isinf(error) for error in away)
        else "some sentences were not heard at all"
    )
    print(f"{way}: median {statistics.median(away):.0f} ms, worst {max(away):.0f} ms of {len(away)} edges")
    assert not far


def test_all_ways_lead_to_the_same_transcript(service: Service, submitted: Mapping[str, Answer]) -> None:
    first, *others = (without_confidence(service.sentences(submitted[way]["id"])) for way in WAYS)
    assert first
    assert all(other == first for other in others)


@pytest.mark.parametrize("way", WAYS)
def test_the_job_says_what_was_done(
    submitted: Mapping[str, Answer], meeting: Recording, meeting_mp3: Path, way: str
) -> None:
    job = submitted[way]
    assert (job["progress"], job["stage"], job["error"]) == (1.0, None, None)
    assert abs(job["audio_ms"] - meeting.duration_ms) < 200
    assert job["source"]["kind"] == way
    assert job["source"]["bytes"] == meeting_mp3.stat().st_size
    assert len({item["source"]["sha256"] for item in submitted.values()}) == 1
    assert job["result"]["model"] == "demo-zh"
    assert 0 < job["result"]["rtf"] < 1
    outcomes = [attempt["outcome"] for attempt in job["attempts"]]
    assert outcomes == (["completed"] if way == "upload" else ["fetched", "completed"])
    print(f"{way}: RTF {job['result']['rtf']}, {job['attempts'][-1]['stage_ms']}")


def test_times_are_in_order_and_inside_the_audio(service: Service, submitted: Mapping[str, Answer]) -> None:
    job = submitted["upload"]
    words = words_of(service.sentences(job["id"]))
    edges = [edge for word in words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= job["audio_ms"]
    assert all(0 < word.confidence <= 1 for word in words)


def test_the_forms_say_the_same(service: Service, submitted: Mapping[str, Answer]) -> None:
    job_id = submitted["upload"]["id"]
    forms = {form: service.transcript(job_id, form) for form in ("json", "txt", "srt", "vtt")}
    sentences = json.loads(forms["json"].text)["sentences"]
    starts = {form: forms[form].headers["content-type"].partition(";")[0] for form in forms}
    assert starts == {
        "json": "application/json",
        "txt": "text/plain",
        "srt": "application/x-subrip",
        "vtt": "text/vtt",
    }
    assert forms["vtt"].text.startswith("WEBVTT")
    assert forms["srt"].text.lstrip("\ufeff").startswith("1\n00:0")
    for form in ("txt", "srt", "vtt"):
        # A cue may end within a sentence: what is said, without the numbers and times between.
        lines = [line for line in forms[form].text.splitlines() if "-->" not in line and not line.strip().isdigit()]
        flat = "".join("".join(lines).split())
        assert all("".join(sentence["text"].split())[:8] in flat for sentence in sentences)


def test_a_deleted_job_is_gone_with_its_audio(service: Service, submitted: Mapping[str, Answer]) -> None:
    """The last test of this module: it takes one of the jobs away."""
    job_id = submitted["http"]["id"]
    storage = Path(service.settings.storage_url.removeprefix("file:"))
    assert list(storage.glob(f"audio/{job_id.partition('_')[2]}/*"))
    assert service.client.delete(f"/v1/transcriptions/{job_id}").status_code == 204
    assert service.client.get(f"/v1/transcriptions/{job_id}").status_code == 404
    assert not list(storage.glob(f"audio/{job_id.partition('_')[2]}/*"))
