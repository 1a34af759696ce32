"""The client package and the `paraqueue` command against the real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.postgres import Postgres
from dev.stack import REPOSITORY
from paraqueue import ApiError, AsyncClient, Client, ConnectionFailed, NotFound
from tests.e2e.installed import environment, run
from tests.e2e.recordings import ffmpeg
from tests.e2e.service import Service, fresh_service
from tests.servers import ADMIN_KEY

SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with fresh_service(postgres, tmp_path_factory.mktemp("client")) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url, ADMIN_KEY) as client:
        yield client


def command(service: Service, home: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it, with a home of its own."""
    environment = {
        **os.environ,
        "PARAQUEUE_URL": service.url,
        "PARAQUEUE_API_KEY": ADMIN_KEY,
        "PARAQUEUE_CONFIG": str(home / "config.toml"),
        "XDG_STATE_HOME": str(home / "state"),
        "COLUMNS": "200",
        **changes,
    }
    return subprocess.run(
        [sys.executable, "-m", "paraqueue", *arguments],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def done(service: Service) -> str:
    """A completed transcription of the sample."""
    with Client(service.url, ADMIN_KEY) as client:
        job = client.submit(SAMPLE, tags=["done"])
        return client.wait(job.id).id


def test_a_file_becomes_text(client: Client) -> None:
    sent: list[tuple[int, int]] = []
    seen: list[str] = []
    transcript = client.transcribe(
        SAMPLE, on_upload=lambda *progress: sent.append(progress), on_change=lambda job: seen.append(job.status)
    )
    expected = json.loads((REPOSITORY / "samples" / "meeting.json").read_text("utf-8"))
    assert abs(transcript.audio_ms - 227_677) < 100
    assert len(transcript.sentences) >= len(expected["sentences"]) * 0.9
    assert transcript.sentences[0].words[0].end_ms > transcript.sentences[0].words[0].start_ms
    assert sent[-1] == (SAMPLE.stat().st_size, SAMPLE.stat().st_size)
    assert seen[-1] == "completed"


def test_sentences_come_in_order_and_are_the_transcript(client: Client, done: str) -> None:
    followed = list(client.sentences(done))
    assert followed == list(client.transcript(done).sentences)
    assert [item.start_ms for item in followed] == sorted(item.start_ms for item in followed)


def test_the_async_client_does_the_same(service: Service, done: str) -> None:
    async def all_of_it() -> tuple[str, list[str], list[str]]:
        async with AsyncClient(service.url, ADMIN_KEY) as client:
            job, _ = await asyncio.gather(client.get(done), client.models())
            listed = [item.id async for item in client.list(tag="done")]
            sentences = [item.text async for item in client.sentences(done)]
            return job.status, listed, sentences

    status, listed, sentences = asyncio.run(all_of_it())
    with Client(service.url, ADMIN_KEY) as client:
        assert (status, listed) == ("completed", [done])
        assert sentences == [item.text for item in client.transcript(done).sentences]


def test_errors_say_what_is_wrong(client: Client) -> None:
    with pytest.raises(NotFound):
        client.get("tr_00000000000000000000000000000000")
    with pytest.raises(ApiError) as raised:
        client.submit("https://example.com/a.mp3", model="nobody-has-it")
    assert raised.value.code == "unknown_model"
    assert raised.value.request_id


def test_an_interrupted_upload_is_continued_by_another_process(
    service: Service, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from paraqueue import uploads
    from paraqueue.cli.memory import UploadFiles

    monkeypatch.setattr(uploads, "CHUNK_BYTES", 200_000)
    memory = UploadFiles(service.url, tmp_path / "state" / "paraqueue" / "uploads")

    class Interrupted(Exception):
        pass

    def stop_half_way(sent: int, total: int) -> None:
        if sent >= total / 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        client.submit(SAMPLE, on_upload=stop_half_way, memory=memory)
    begun = list((tmp_path / "state" / "paraqueue" / "uploads").iterdir())
    assert len(begun) == 1
    offsets: list[int] = []
    job = client.submit(SAMPLE, on_upload=lambda sent, _: offsets.append(sent), memory=memory)
    assert offsets[0] >= SAMPLE.stat().st_size / 2, "it began anew"
    assert client.wait(job.id).status == "completed"
    assert not list((tmp_path / "state" / "paraqueue" / "uploads").iterdir())


def test_submit_a_folder_and_write_subtitles(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    folder.mkdir()
    for name in ("一.mp3", "two.mp3"):
        shutil.copy(SAMPLE, folder / name)
    ran = command(service, tmp_path, "submit", str(folder), "-o", str(tmp_path / "out"), "--format", "srt")
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["two.srt", "一.srt"]
    assert (tmp_path / "out" / "一.srt").read_text("utf-8").startswith("1\n00:00:0")
    assert "\x1b" not in ran.stdout + ran.stderr, "no colours and bars where nobody looks"


def test_what_fails_does_not_stop_the_others(service: Service, tmp_path: Path) -> None:
    (tmp_path / "noise.mp3").write_bytes(b"this is no audio" * 1000)
    ran = command(service, tmp_path, "submit", str(tmp_path / "noise.mp3"), str(SAMPLE), "--wait", "--json")
    assert ran.returncode == 1
    results = json.loads(ran.stdout)
    assert [item["transcription"]["status"] if item["transcription"] else None for item in results][1] == "completed"
    assert results[0]["error"]
    assert results[1]["text"]


def test_status_list_get_watch_and_delete(service: Service, tmp_path: Path, done: str) -> None:
    assert "completed" in command(service, tmp_path, "status", done).stdout
    assert done in command(service, tmp_path, "list", "--tag", "done").stdout
    text = command(service, tmp_path, "get", done).stdout
    assert "。" in text
    assert text.splitlines()[0][:4] in command(service, tmp_path, "watch", done).stdout
    ran = command(service, tmp_path, "submit", str(SAMPLE), "--tag", "gone")
    gone = ran.stdout.strip()
    assert command(service, tmp_path, "wait", gone).returncode == 0
    assert command(service, tmp_path, "delete", gone).returncode == 0
    missing = command(service, tmp_path, "status", gone)
    assert missing.returncode == 5
    assert missing.stderr.startswith("paraqueue: not found")


def test_the_engine_runs_here_without_a_service(service: Service, tmp_path: Path) -> None:
    ran = command(
        service, tmp_path, "transcribe", str(SAMPLE), "--local", "-f", "srt", PARAQUEUE_URL="http://127.0.0.1:9"
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("1\n00:00:0")
    assert "demo-zh" in ran.stderr


def test_exit_statuses(service: Service, tmp_path: Path) -> None:
    assert command(service, tmp_path, "submit", str(tmp_path / "missing.mp3")).returncode == 2
    assert command(service, tmp_path, "list", PARAQUEUE_URL="nonsense").returncode == 2
    assert command(service, tmp_path, "list", "--no-such-option").returncode == 2


def test_a_service_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paraqueue.exchange.FIRST_PAUSE_SECONDS", 0.01)
    with Client("http://127.0.0.1:9") as client, pytest.raises(ConnectionFailed):
        client.models()


def test_configuration_is_kept(service: Service, tmp_path: Path) -> None:
    kept = command(service, tmp_path, "config", "set", "url", service.url)
    assert kept.returncode == 0, kept.stderr
    shown = command(service, tmp_path, "config", "show", PARAQUEUE_URL="")
    assert service.url in shown.stdout
    assert command(service, tmp_path, "config", "set", "colour", "blue").returncode == 2


def test_the_installed_command_does_its_work(installed: Path, service: Service, tmp_path: Path) -> None:
    known = environment(tmp_path, PARAQUEUE_URL=service.url, PARAQUEUE_API_KEY=ADMIN_KEY)
    program = installed / "paraqueue"
    ran = run(program, "transcribe", SAMPLE, "--format", "srt", cwd=tmp_path, env=known)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("1\n00:00:0")
    [job] = json.loads(run(program, "list", "--limit", "1", "--json", cwd=tmp_path, env=known).stdout)
    watched = run(program, "watch", job["id"], "--json", cwd=tmp_path, env=known).stdout.splitlines()
    transcript = json.loads(run(program, "get", job["id"], "--format", "json", cwd=tmp_path, env=known).stdout)
    assert len(watched) == len(transcript["sentences"]) > 10
    assert all(json.loads(line)["words"] for line in watched)
    made = json.loads(
        run(program, "keys", "create", "app", "--scope", "read", "--json", cwd=tmp_path, env=known).stdout
    )
    rotated = run(program, "keys", "rotate", made["id"], cwd=tmp_path, env=known).stdout.strip()
    assert rotated.startswith("pq_live_")
    assert rotated != made["key"]
    reading = known | {"PARAQUEUE_API_KEY": rotated}
    assert run(program, "status", job["id"], cwd=tmp_path, env=reading).returncode == 0
    assert run(program, "delete", job["id"], cwd=tmp_path, env=reading).returncode == 3
    both = run(program, "delete", "tr_" + "0" * 32, job["id"], "--json", cwd=tmp_path, env=known)
    assert both.returncode == 5, "the first failure's"
    assert [item["error"] is None for item in json.loads(both.stdout)] == [False, True]


def test_the_examples_of_the_page_run(installed: Path, service: Service, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "docs" / "client.md").read_text(), re.M | re.S)
    [example] = [block for block in blocks if "client.transcribe(" in block]
    shutil.copy(SAMPLE, tmp_path / "meeting.mp3")
    ffmpeg("-i", SAMPLE, "-t", "30", tmp_path / "call.wav")
    known = environment(tmp_path, PARAQUEUE_URL=service.url, PARAQUEUE_API_KEY=ADMIN_KEY)
    ran = run(installed / "python", "-c", example, cwd=tmp_path, env=known)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) > 5
