"""Unexpected requests: schemathesis over the OpenAPI document, and hypothesis for what the document does not cover.

The bounded run uses fixed seeds; `pytest -m slow -k fuzz` searches further, with other seeds.
"""

from __future__ import annotations

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
from tests.api.api_cases import Api, shared_api
from tests.db.job_cases import completed, rows
from tests.servers import ADMIN_KEY

EXAMPLES = settings(
    max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# These wait for a job on purpose.
WAITS = "/events|/v1/audio/transcriptions"
# An empty list in the place of a text is nothing at all once it is written as a form, and then the form is right.
FORMS = """
[[operations]]
include-name = "POST /v1/transcriptions"
checks.negative_data_rejection.enabled = false
"""
# As far as the client sends it: no control characters, and no white space around it.
FIELD = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60).map(str.strip)


@pytest.fixture(scope="module")
def api(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), tenant_requests_per_minute=0) as api:
        completed(api.database)
        yield api


def schemathesis(api: Api, place: Path, phases: str, *arguments: str) -> None:
    """Run schemathesis' command line with all checks."""
    config = place / "schemathesis.toml"
    config.write_text(f'[parameters]\n"query.wait" = 0\n{FORMS if "fuzzing" in phases else ""}')
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run"]
    command += [f"http://127.0.0.1:{api.port}/openapi.json", "--header", f"Authorization: Bearer {ADMIN_KEY}"]
    # Which valid data is accepted no schema can say: tus has headers, webhooks need a secret of the installation.
    command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
    command += ["--exclude-path-regex", WAITS, "--no-color", "--phases", phases, *arguments]
    ended = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=1500, check=False)
    assert ended.returncode == 0, ended.stdout[-12_000:] + ended.stderr[-2000:]
    assert re.search(r"\d+ generated|\d+ passed|No issues found", ended.stdout), ended.stdout[-1000:]


@pytest.mark.timeout(1500)
def test_every_documented_call_keeps_to_the_document(api: Api, tmp_path: Path) -> None:
    schemathesis(api, tmp_path, "examples,coverage", "--generation-deterministic", "--max-examples", "3")
    _still_well(api)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_long_runs_in_any_order_keep_to_the_document(api: Api, tmp_path: Path) -> None:
    schemathesis(api, tmp_path, "examples,coverage,fuzzing,stateful", "--max-examples", "60")
    _still_well(api)


def _still_well(api: Api) -> None:
    """No job is stuck in an unattended state, and the service still accepts one."""
    assert not rows(api.database, "SELECT id FROM jobs WHERE status = 'processing'")
    assert not api.half_written()
    assert api.submit_link().status_code == 202


def never_crashes(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        malformed = response.status_code == 400 and response.text == "Invalid HTTP request received."
        assert malformed or response.headers["content-type"] == "application/problem+json", response.text


@EXAMPLES
@given(cursor=st.text(max_size=300) | st.binary(max_size=80).map(lambda raw: raw.hex()))
@example(cursor="MDAwMS0wMS0wMVQwMDowMDowMCswMDowMHww")
@example(cursor="\x00")
def test_no_cursor_crashes_a_list(api: Api, cursor: str) -> None:
    never_crashes(api.get("", params={"after": cursor}))


@EXAMPLES
@given(words=st.text(st.characters(exclude_categories=["Cs"]), max_size=110))
@example(words="\x00.")
@example(words="\u0130\ufb03\u3000a")
def test_no_query_crashes_a_search(api: Api, words: str) -> None:
    never_crashes(api.get("/search", params={"q": words}))
    never_crashes(api.get("", params={"tag": words}))


@pytest.mark.parametrize("after", [2_000_000_000, 2**31 - 2, 2**31 - 1, 2**63])
def test_no_number_crashes_a_page_of_sentences(api: Api, after: int) -> None:
    job_id = completed(api.database).public_id
    never_crashes(api.get(f"/{job_id}/sentences", params={"after": after, "limit": 1000}))


def test_a_limit_is_a_number_and_not_true(api: Api) -> None:
    answer = api.client.post("/v1/keys", json={"name": "x", "limits": {"requests_per_minute": True}})
    assert answer.status_code == 422, answer.text


RANGES = st.from_regex(r"\A(bytes|items|)=?-?[0-9]{0,30}-[0-9]{0,30}(, ?[0-9]{0,4}-[0-9]{0,4}){0,3}\Z") | FIELD


@EXAMPLES
@given(range_header=RANGES)
@example(range_header="bytes=0-" + "9" * 400)
def test_no_range_crashes_a_read(api: Api, range_header: str) -> None:
    job_id = api.submit_file(b"RIFF audio").json()["id"] if not _JOBS else _JOBS[0]
    _JOBS[:] = [job_id]
    headers = [(b"Range", range_header.encode("latin-1"))]
    never_crashes(api.get(f"/{job_id}/audio", headers=headers))
    never_crashes(api.get(f"/{job_id}/transcript", headers=headers))


_JOBS: list[str] = []
NAMES = ["Accept", "X-Request-ID", "Content-Type", "Idempotency-Key", "If-None-Match", "Authorization", "X-API-Key"]
NAMES += ["Cookie", "Accept-Encoding", "Origin", "Upload-Offset", "Upload-Metadata", "Tus-Resumable", "Last-Event-ID"]


@EXAMPLES
@given(name=st.sampled_from(NAMES), value=FIELD, path=st.sampled_from(["", "/tr_0", "/search", "/tr_0/transcript"]))
def test_no_header_crashes_a_call(api: Api, name: str, value: str, path: str) -> None:
    headers = [(name.encode(), value.encode("latin-1"))]
    never_crashes(api.get(path, headers=headers))
    body = b'{"audio_url": "https://example.com/a.mp3"}'
    never_crashes(api.client.post("/v1/transcriptions", content=body, headers=headers))


PART = st.tuples(st.binary(max_size=120), st.binary(max_size=200))


@EXAMPLES
@given(
    boundary=st.from_regex(r"\A[ -~]{0,75}\Z"),
    parts=st.lists(PART, max_size=6),
    disposition=st.sampled_from(
        [b'form-data; name="file"; filename="a.wav"', b'form-data; name="model"', b"form-data", b""]
    ),
    ending=st.sampled_from([b"--\r\n", b"\r\n", b"", b"--"]),
)
def test_no_form_crashes_an_upload(
    api: Api, boundary: str, parts: list[tuple[bytes, bytes]], disposition: bytes, ending: bytes
) -> None:
    mark = b"--" + boundary.encode()
    body = b"".join(
        mark + b"\r\nContent-Disposition: " + disposition + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    try:
        response = api.client.post("/v1/transcriptions", content=body + mark + ending, headers=headers)
    except httpx.LocalProtocolError:
        return  # the client would not send such a header
    never_crashes(response)
    assert not api.half_written()
