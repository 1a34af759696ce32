"""A client that openapi-python-client generates from the OpenAPI document, from submit to transcript."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.artifacts import ARTIFACTS, making
from tests.e2e.installed import run
from tests.e2e.service import Service, fresh_service
from tests.servers import ADMIN_KEY

# It installs a generator and runs a worker.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
LOCK = REPOSITORY / "requirements" / "openapi.lock"
PROGRAM = """\
import io, json, sys
from speech import AuthenticatedClient
from speech.api.transcriptions import get_transcript, get_transcription, submit_transcription
from speech.models import Problem, Status, SubmitFile, TranscriptOut
from speech.types import File

url, key, path = sys.argv[1:]
with AuthenticatedClient(base_url=url, token=key, timeout=120) as client, open(path, "rb") as file:
    body = SubmitFile(file=File(payload=file, file_name="meeting.mp3"), tags=["a", "b"], priority=7)
    job = submit_transcription.sync(client=client, body=body, idempotency_key="meeting-1")
    early = get_transcript.sync(job.id, client=client)
    assert isinstance(early, Problem) or isinstance(early, TranscriptOut), early
    while (job := get_transcription.sync(job.id, client=client, wait=30)).finished_at is None:
        pass
    assert job.status is Status.COMPLETED, job
    transcript = get_transcript.sync(job.id, client=client)
    missing = get_transcription.sync("tr_" + "0" * 32, client=client)
print(json.dumps({
    "tags": job.tags,
    "priority": job.priority,
    "audio_ms": transcript.audio_ms,
    "sentences": [sentence.text for sentence in transcript.sentences],
    "word": transcript.sentences[0].words[0].end_ms,
    "text": transcript.text,
    "missing": [type(missing).__name__, missing.code],
}))
"""


@pytest.fixture(scope="module")
def generator() -> Path:
    """The folder of programs of an environment with the generator, which is kept between sessions."""
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    kept = ARTIFACTS / "openapi-generator" / digest
    with making(kept) as missing:
        if missing:
            unfinished = Path(tempfile.mkdtemp(dir=kept.parent))
            venv.create(unfinished, with_pip=False)
            pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", unfinished / "bin" / "python", "--quiet"]
            got = run(*pip, "install", "--disable-pip-version-check", "--requirement", LOCK)
            assert got.returncode == 0, got.stderr
            unfinished.rename(kept)
    return kept / "bin"


@pytest.fixture(scope="module")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with fresh_service(postgres, tmp_path_factory.mktemp("generated")) as service:
        yield service


def test_a_generated_client_gets_a_transcript(service: Service, generator: Path, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(service.client.get("/openapi.json").text)
    # Not its script: that begins with the path where the environment was made.
    generate: list[str | Path] = [
        generator / "python",
        "-m",
        "openapi_python_client",
        "generate",
        "--path",
        document,
        "--meta",
        "none",
    ]
    found = {**os.environ, "PATH": f"{generator}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    done = run(*generate, "--output-path", tmp_path / "speech", env=found)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arning" not in done.stdout + done.stderr, done.stdout + done.stderr
    command: list[str | Path] = [generator / "python", "-c", PROGRAM, service.url, ADMIN_KEY, SAMPLE]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["tags"], result["priority"]) == (["a", "b"], 7)
    assert abs(result["audio_ms"] - 227_677) < 100
    assert len(result["sentences"]) > 10
    assert result["word"] > 0
    assert result["text"].startswith(result["sentences"][0])
    assert result["missing"] == ["Problem", "not_found"]
