"""Unexpected forms for the OpenAI-compatible call. Waits are limited to a moment."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, form, shared_api
from tests.db.job_cases import one, rows
from tests.servers import ADMIN_KEY

WAIT_SECONDS = 0.02
PATH = "/v1/audio/transcriptions"
EXAMPLES = settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KNOWN = "file model response_format stream timestamp_granularities[] timestamp_granularities language prompt"
KNOWN += " temperature include[] chunking_strategy known_speaker_names[]"
NAMES = st.sampled_from(KNOWN.split()) | st.text(max_size=20).filter(lambda name: not set(name) & set('"\r\n\\'))
MEANT = "whisper-1 demo-zh json text srt vtt verbose_json diarized_json word segment true false 1 0.5 -1 NaN 1e400"
MEANT += " null [] auto zh"
VALUES = st.sampled_from([*MEANT.split(), ""]) | st.text(max_size=200)
FIELD = st.tuples(NAMES, st.none() | st.sampled_from(["a.wav", "../../a", "", "会议.mp3"]), VALUES)
GOOD = [("model", None, "whisper-1"), ("file", "a.wav", "RIFF audio")]


@pytest.fixture(scope="module")
def api(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    place = tmp_path_factory.mktemp("api")
    limits = {"tenant_requests_per_minute": 0, "tenant_max_queued": 0}
    with shared_api(postgres, valkey, place, openai_wait_seconds=WAIT_SECONDS, **limits) as api:
        yield api


def checked(api: Api, answer: httpx.Response) -> None:
    """The response is an error in OpenAI's format, or a stream that ends with one: no worker runs here."""
    if answer.status_code == 200:
        assert answer.headers["content-type"].startswith("text/event-stream")
        error = json.loads(answer.text.strip().rpartition("data: ")[2])["error"]
    else:
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-should-retry"] == "false"
        error = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["message"]
    assert error["code"]
    if error["code"] == "still_running":
        job_id = error["transcription_id"].partition("_")[2]
        assert one(api.database, "SELECT status FROM jobs WHERE id = :id", id=job_id) == "queued"
    else:
        assert answer.status_code != 200
    assert not api.half_written()


@EXAMPLES
@given(fields=st.lists(FIELD, max_size=6), whole=st.booleans())
@example(fields=[("stream", None, "true")], whole=True)
@example(fields=[("timestamp_granularities[]", None, "word")], whole=True)
@example(fields=[("model", None, "x" * 101)], whole=True)
@example(fields=[("prompt", None, "\x00")], whole=True)
@example(fields=[("temperature", None, "NaN")], whole=True)
@example(fields=[("file", "b.wav", "")], whole=False)
def test_no_field_crashes_it(api: Api, fields: list[tuple[str, str | None, str]], whole: bool) -> None:
    """With `whole`, a valid file and model precede the generated fields, so that the call gets as far as a job."""
    parts = [(name, file, value.encode()) for name, file, value in [*(GOOD if whole else []), *fields]]
    kind, body = form(*parts)
    checked(api, api.client.post(PATH, content=body, headers={"Content-Type": kind}))


def test_what_was_refused_left_nothing(api: Api) -> None:
    """After the test above: every object belongs to a job, and every job has one."""
    assert one(api.database, "SELECT count(*) FROM jobs") > 0
    keys = {key for (key,) in rows(api.database, "SELECT audio_key FROM jobs")}
    assert set(api.objects()) == keys


def test_it_keeps_to_its_document(api: Api, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"http://127.0.0.1:{api.port}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {ADMIN_KEY}", "--include-path", PATH, "--checks", "all"]
    # Which model there is no schema can say, nor that granularities need `verbose_json`.
    command += ["--exclude-checks", "positive_data_acceptance", "--no-color", "--generation-deterministic"]
    command += ["--max-examples", "5", "--phases", "examples,coverage"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout[-12_000:] + ended.stderr[-2000:]
    assert re.search(r"\d+ generated|\d+ passed|No issues found", ended.stdout), ended.stdout[-1000:]
