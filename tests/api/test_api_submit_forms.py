"""Submitting a file: forms, their limits, and bodies that do not end well."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, RawClient, form, problem_of, shared_api
from tests.api.test_api_submit import LIMIT, URL, nothing_is_left
from tests.waiting import until


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), max_upload_bytes=LIMIT) as api:
        yield api


def post(api: Api, *parts: tuple[str, str | None, bytes]) -> httpx.Response:
    kind, body = form(*parts)
    return api.client.post(URL, content=body, headers={"Content-Type": kind})


AUDIO = ("file", "a.wav", b"audio")


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([], 422, "invalid_request"),
        ([("other", "a.wav", b"audio")], 422, "invalid_request"),
        ([("priority", None, b"5")], 422, "invalid_request"),
        ([AUDIO, AUDIO], 422, "invalid_request"),
        ([("file", "a.wav", b"")], 422, "audio_empty"),
        ([AUDIO, ("priority", None, b"high")], 422, "invalid_request"),
        ([AUDIO, ("priority", None, b"5"), ("priority", None, b"6")], 422, "invalid_request"),
        ([AUDIO, ("volume", None, b"11")], 422, "invalid_request"),
        ([AUDIO, ("model", None, b"x" * 70_000)], 422, "invalid_request"),
        ([AUDIO, *[(f"f{n}", None, b"x") for n in range(70)]], 422, "invalid_request"),
        ([("file", "a.wav", b"x" * (LIMIT + 1))], 413, "upload_too_large"),
    ],
)
def test_forms_that_are_wrong_leave_nothing(
    api: Api, parts: list[tuple[str, str | None, bytes]], status: int, code: str
) -> None:
    problem_of(post(api, *parts), status, code)
    nothing_is_left(api)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--b\r\n\r\n"),
        ("multipart/form-data; boundary=", b"--b\r\n\r\n"),
        (f"multipart/form-data; boundary={'b' * 1000}", b"--b\r\n\r\n"),
        ("multipart/form-data; boundary=ü", b"--b\r\n\r\n"),
        ("multipart/form-data; boundary=b", b"this is no form"),
        ("multipart/form-data; boundary=b", b"--b\r\nbroken header\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n"),
        ("text/plain", b"audio"),
        ("application/x-www-form-urlencoded", b"file=audio"),
    ],
)
def test_bodies_that_are_no_form_are_refused(api: Api, kind: str, body: bytes) -> None:
    answer = api.client.post(URL, content=body, headers={b"Content-Type": kind.encode("latin-1")})
    problem_of(answer, 422, "invalid_request")
    nothing_is_left(api)


def test_a_form_without_its_end_is_incomplete(api: Api) -> None:
    kind, body = form(AUDIO)
    answer = api.client.post(URL, content=body[:-20], headers={"Content-Type": kind})
    assert problem_of(answer, 400, "upload_incomplete")["retryable"]
    nothing_is_left(api)


def test_a_file_of_exactly_the_limit_is_accepted(api: Api) -> None:
    answer = api.submit_file(b"x" * LIMIT)
    assert answer.json()["source"]["bytes"] == LIMIT


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\music\\passwd", "/etc/passwd", "pass\x7fwd", ""])
def test_a_file_name_is_only_a_name(api: Api, name: str) -> None:
    kind, body = form(("file", name, b"audio"))
    shown = api.client.post(URL, content=body, headers={"Content-Type": kind}).json()["source"]["name"]
    assert shown == ("passwd" if name else "audio")


def test_a_body_that_announces_too_much_is_refused_before_it_comes(api: Api) -> None:
    client = RawClient(api.port)
    kind, _ = form()
    client.head(Content_Type=kind, Content_Length=str(100 * LIMIT))
    status, body = client.answer()
    assert (status, body["code"]) == (413, "upload_too_large")
    client.close()
    nothing_is_left(api)


def test_a_chunked_body_is_refused_when_it_passes_the_limit(api: Api) -> None:
    client = RawClient(api.port)
    kind, body = form(AUDIO)
    client.head(Content_Type=kind, Transfer_Encoding="chunked")
    client.chunk(body[: body.index(b"audio")])
    sent = 0
    while sent <= LIMIT and not client.answered():
        client.chunk(b"x" * 65_536)
        sent += 65_536
    until(client.answered)
    assert client.answer()[0] == 413
    client.close()
    nothing_is_left(api)


@pytest.mark.parametrize("where", ["before the form", "after the form"])
def test_a_chunked_body_that_never_ends_is_refused_too(api: Api, where: str) -> None:
    """Bytes outside the parts of a form are not part of a file, but count towards the limit."""
    client = RawClient(api.port)
    kind, body = form(AUDIO)
    client.head(Content_Type=kind, Transfer_Encoding="chunked")
    filler = b"\r\n" * 32_768
    if where == "after the form":
        client.chunk(body)
    sent = 0
    while not client.answered() and sent < 20 * LIMIT:
        try:
            client.chunk(filler)
        except OSError:
            break
        sent += len(filler)
    assert client.answered(), f"no answer after {sent} bytes"
    status, problem = client.answer()
    assert (status, problem["code"]) in {(413, "upload_too_large"), (422, "invalid_request")}
    client.close()
    nothing_is_left(api)


def test_a_client_that_goes_away_half_way_leaves_nothing(api: Api) -> None:
    client = RawClient(api.port)
    kind, body = form(("file", "a.wav", b"x" * LIMIT))
    client.head(Content_Type=kind, Content_Length=str(len(body)))
    client.socket.sendall(body[: LIMIT * 3 // 4])
    until(api.half_written)
    client.close()
    nothing_is_left(api)


def test_a_file_is_written_while_it_comes(api: Api) -> None:
    client = RawClient(api.port)
    kind, body = form(("file", "a.wav", b"x" * LIMIT))
    client.head(Content_Type=kind, Content_Length=str(len(body)))
    client.socket.sendall(body[: LIMIT * 3 // 4])
    until(lambda: [path for path in api.half_written() if path.stat().st_size >= LIMIT // 2])
    assert api.objects() == []
    client.socket.sendall(body[LIMIT * 3 // 4 :])
    assert client.answer()[0] == 202
    client.close()
    assert len(api.objects()) == 1


def test_uploads_at_once_do_not_mix(api: Api) -> None:
    from tests.db.job_cases import at_once

    contents = [bytes([number]) * (300_000 + number) for number in range(8)]
    answers = at_once([partial(api.submit_file, content) for content in contents])
    for content, answer in zip(contents, answers, strict=True):
        assert answer.json()["source"]["sha256"] == hashlib.sha256(content).hexdigest()
