"""The programs in examples/, as a user runs them, against the whole service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from pydantic import SecretStr

from dev.postgres import Postgres
from dev.process import spawn
from dev.stack import REPOSITORY
from paraqueue import Client
from tests.db.webhook_cases import KEY, OWN_SECRET
from tests.e2e.recordings import ffmpeg
from tests.e2e.service import Service, fresh_service
from tests.servers import ADMIN_KEY, S3
from tests.waiting import until

EXAMPLES = REPOSITORY / "examples"
SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
PATIENCE_SECONDS = 300.0
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def service(postgres: Postgres, s3_server: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "secret_key": SecretStr(KEY),
        "webhook_secret": SecretStr(OWN_SECRET),
        "source_s3_endpoint_url": s3_server.endpoint_url,
        "source_s3_access_key_id": s3_server.access_key_id,
        "source_s3_secret_access_key": SecretStr(s3_server.secret_access_key),
        "source_s3_buckets": ("examples",),
    }
    with fresh_service(postgres, tmp_path_factory.mktemp("examples"), **settings) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url, ADMIN_KEY) as client:
        yield client


def surroundings(service: Service, home: Path, **more: str) -> dict[str, str]:
    """What a user has set, and nothing that the machine has besides."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPENAI_", "PARAQUEUE_"))}
    own = {"PARAQUEUE_URL": service.url, "PARAQUEUE_API_KEY": ADMIN_KEY, "PARAQUEUE_CONFIG": str(home / "none.toml")}
    return kept | own | {"PYTHONPATH": str(REPOSITORY)} | more


def ran(service: Service, home: Path, program: str, *arguments: str | Path, **more: str) -> list[str]:
    """The lines that a program prints."""
    command = [sys.executable, str(EXAMPLES / program), *map(str, arguments)]
    environment = surroundings(service, home, **more)
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def cut(target: Path, start_seconds: int) -> Path:
    """Twelve seconds of the sample."""
    ffmpeg("-ss", str(start_seconds), "-i", SAMPLE, "-t", "12", target)
    return target


def test_all_programs_are_listed() -> None:
    listed = set(re.findall(r"^\| \[(\w+\.py)\]\(\1\)", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE))
    assert listed == {path.name for path in EXAMPLES.glob("*.py")}


def test_webhooks_are_received_and_forged_ones_refused(service: Service, client: Client, tmp_path: Path) -> None:
    environment = surroundings(service, tmp_path, PARAQUEUE_WEBHOOK_SECRET=OWN_SECRET)
    command = [sys.executable, str(EXAMPLES / "webhook_receiver.py"), "texts", "--port", "0"]
    receiver = spawn("receiver", command, tmp_path / "receiver.log", env=environment, cwd=tmp_path)
    try:
        listening = re.compile(r"receiving at (http://127\.0\.0\.1:\d+/)")
        address = until(lambda: listening.search(receiver.log.read_text()), seconds=PATIENCE_SECONDS)[1]
        forged = {"webhook-id": "dl_1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
        for headers in ({}, forged):
            body = b'{"type": "transcription.completed", "timestamp": "", "data": {"id": "tr_0"}}'
            assert httpx.post(address, content=body, headers=headers, trust_env=False).status_code == 401
        job = client.submit(cut(tmp_path / "call.mp3", 0), webhook_url=address)
        text = tmp_path / "texts" / f"{job.id}.txt"
        until(lambda: f"{text.name}\n" in receiver.log.read_text(), seconds=PATIENCE_SECONDS)
        assert text.read_text("utf-8") == client.text(job.id) != ""
        assert [item.status for item in client.deliveries(transcription_id=job.id).data] == ["delivered"]
    finally:
        receiver.stop(20)


def test_a_folder_is_watched(service: Service, client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    earlier = time.time() - 3600
    for path in (cut(folder / "会议.mp3", 20), folder / "broken.wav", folder / "notes.pdf"):
        if not path.exists():
            path.write_bytes(b"not audio at all")
        os.utime(path, (earlier, earlier))
    (folder / "still-copied.wav").write_bytes(b"RIFF")
    os.utime(folder / "still-copied.wav", (earlier + 7200, earlier + 7200))
    told = ran(service, tmp_path, "watch_folder.py", folder, "--format", "srt", "--once")
    assert len(told) == 2
    assert (folder / "会议.mp3.srt").read_text("utf-8").startswith("1\n00:00:0")
    assert "audio_not_decodable" in (folder / "broken.wav.failed").read_text()
    assert ran(service, tmp_path, "watch_folder.py", folder, "--format", "srt", "--once") == []
    assert {job.source.name for job in client.list(tag="watched")} == {"会议.mp3", "broken.wav"}


def test_a_bucket_gets_transcripts(service: Service, s3_server: S3, tmp_path: Path) -> None:
    account = {
        "AWS_ENDPOINT_URL": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "AWS_DEFAULT_REGION": s3_server.region,
    }
    store = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        aws_access_key_id=s3_server.access_key_id,
        aws_secret_access_key=s3_server.secret_access_key,
        region_name=s3_server.region,
    )
    store.create_bucket(Bucket="examples")
    store.put_object(Bucket="examples", Key="录音/a b.mp3", Body=cut(tmp_path / "a.mp3", 40).read_bytes())
    store.put_object(Bucket="examples", Key="notes.txt", Body=b"text")
    arguments = ("bucket_to_transcripts.py", "examples", "--format", "srt")
    assert ran(service, tmp_path, *arguments, **account) == ["录音/a b.mp3.srt"]
    written = store.get_object(Bucket="examples", Key="录音/a b.mp3.srt")["Body"].read()
    assert written.startswith(b"1\n00:00:0")
    assert ran(service, tmp_path, *arguments, **account) == []


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_video_gets_subtitles(service: Service, client: Client, tmp_path: Path, ending: str) -> None:
    video = tmp_path / f"lecture.{ending}"
    ffmpeg("-f", "lavfi", "-i", "color=c=black:s=64x64:r=5", "-i", cut(tmp_path / "s.mp3", 60), "-shortest", video)
    [printed] = ran(service, tmp_path, "subtitle_video.py", video)
    ffmpeg("-i", printed, "-map", "0:s:0", tmp_path / "track.srt")
    [job] = [job for job in client.list() if job.source.name == video.name]
    expected = client.text(job.id, "srt")
    assert cues_of((tmp_path / "track.srt").read_text("utf-8")) == cues_of(expected) != []


def cues_of(srt: str) -> list[tuple[str, str]]:
    """The texts of subtitles, and the seconds at which they begin."""
    return re.findall(r"^(\d\d:\d\d:\d\d),\d+ --> .*\n(.+)", srt, re.MULTILINE)


def test_openais_sdk_makes_documents(service: Service, client: Client, tmp_path: Path) -> None:
    recording = cut(tmp_path / "meeting.mp3", 80)
    known = {"OPENAI_BASE_URL": f"{service.url}/v1", "OPENAI_API_KEY": ADMIN_KEY, "NO_PROXY": "127.0.0.1"}
    lines = ran(service, tmp_path, "openai_documents.py", recording, "--characters", "20", **known)
    documents = [json.loads(line) for line in lines]
    [job] = client.list(tag="openai")
    said = "".join(sentence.text for sentence in client.transcript(job.id).sentences)
    assert "".join(item["page_content"] for item in documents).replace(" ", "") == said.replace(" ", "") != ""
    times = [moment for item in documents for moment in (item["metadata"]["start"], item["metadata"]["end"])]
    assert times == sorted(times)
    assert {item["metadata"]["source"] for item in documents} == {"meeting.mp3"}
