"""Forms as they arrive: in whatever pieces."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.http.multipart import Form, read_form
from common.errors import InvalidRequest, ParaqueueError, UploadIncomplete, UploadTooLarge
from common.storage import LocalStorage
from tests.api.api_cases import form

LIMIT = 10_000


def read(kind: str, pieces: list[bytes], limit: int = LIMIT) -> tuple[Form, bytes]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    with tempfile.TemporaryDirectory() as directory:
        storage = LocalStorage(directory)
        writer = storage.writer("upload")
        try:
            read_one = asyncio.run(read_form(kind, body(), writer, max_bytes=limit))
        except BaseException:
            writer.abort()
            assert not list(Path(directory).rglob("*upload*"))
            raise
        return read_one, (Path(directory) / "upload").read_bytes()


def cut(body: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted({position % (len(body) + 1) for position in at}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges)]


CONTENT = st.binary(min_size=1, max_size=300) | st.lists(
    st.sampled_from([b"\r\n", b"--b", b"--", b"\r", b"\n", b"--b--", b"x"]), min_size=1, max_size=20
).map(b"".join)
FIELDS = st.lists(
    st.tuples(st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1), st.text()), max_size=4
)


@settings(max_examples=60, deadline=None)
@given(content=CONTENT, fields=FIELDS, at=st.lists(st.integers(0, 10**6), max_size=12), last=st.booleans())
def test_a_form_says_the_same_in_whatever_pieces_it_comes(
    content: bytes, fields: list[tuple[str, str]], at: list[int], last: bool
) -> None:
    plain = [(f"f{name}", None, value.encode("utf-8", "replace")) for name, value in fields]
    file = [("file", "会议.wav", content)]
    kind, body = form(*([*plain, *file] if last else [*file, *plain]), boundary="a-boundary-of-a-test")
    read_one, stored = read(kind, cut(body, at))
    assert stored == content
    assert read_one.file_name == "会议.wav"
    assert read_one.fields == [(name, value.decode()) for name, _, value in plain]
    assert read_one.stored is not None
    assert (read_one.stored.size, read_one.stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_byte_by_byte() -> None:
    kind, body = form(("priority", None, b"5"), ("file", "a.wav", b"\r\n--audio\r\n"))
    read_one, stored = read(kind, [body[i : i + 1] for i in range(len(body))])
    assert (read_one.fields, stored) == ([("priority", "5")], b"\r\n--audio\r\n")


@settings(max_examples=60, deadline=None)
@given(where=st.integers(0, 10**6), at=st.lists(st.integers(0, 10**6), max_size=5))
def test_a_form_cut_short_is_never_taken_for_a_whole_one(where: int, at: list[int]) -> None:
    kind, body = form(("file", "a.wav", b"audio" * 20), ("priority", None, b"5"))
    with pytest.raises((UploadIncomplete, InvalidRequest)):
        read(kind, cut(body[: where % (len(body) - 4)], at))


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=200), where=st.integers(0, 10**6))
def test_noise_in_a_form_is_an_error_of_ours_or_harmless(noise: bytes, where: int) -> None:
    kind, body = form(("file", "a.wav", b"audio"), ("priority", None, b"5"), boundary="b")
    position = where % len(body)
    try:
        read(kind, [body[:position] + noise + body[position + len(noise) :]])
    except ParaqueueError as error:
        assert error.message


@pytest.mark.parametrize("piece", [1, 7, 4096, LIMIT * 2])
def test_the_limit_is_on_the_file_in_whatever_pieces_it_comes(piece: int) -> None:
    for size, refused in ((LIMIT, False), (LIMIT + 1, True)):
        kind, body = form(("file", "a.wav", b"x" * size))
        pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
        if refused:
            with pytest.raises(UploadTooLarge):
                read(kind, pieces)
        else:
            assert len(read(kind, pieces)[1]) == LIMIT
