"""What can be uploaded: paths, bytes, open files, and files that cannot be read twice."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from paraqueue import audio_sources
from paraqueue.audio_sources import is_link, readable
from paraqueue.errors import ParaqueueError

CONTENT = bytes(range(256))


class Pipe(io.RawIOBase):
    """A file that can be read only once."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)


def test_links_are_not_uploaded() -> None:
    assert is_link("HTTPS://example.com/a.mp3")
    assert is_link("s3://bucket/key")
    assert not is_link("meeting.mp3")
    assert not is_link(b"https://example.com")


def test_every_kind_is_read_from_any_offset(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        kinds = [
            (readable(path, None), "a.wav"),
            (readable(str(path), "b.wav"), "b.wav"),
            (readable(CONTENT, None), "audio"),
            (readable(CONTENT, "c.wav"), "c.wav"),
            (readable(file, None), "a.wav"),
            (readable(io.BytesIO(CONTENT), "d.wav"), "d.wav"),
            (readable(cast(BinaryIO, Pipe(CONTENT)), None), "audio"),
        ]
        for source, name in kinds:
            assert (source.name, source.size) == (name, 256)
            for offset in (250, 0, 100):
                assert source.read(offset, 10) == CONTENT[offset : offset + 10]
    assert [source.identity is None for source, _ in kinds] == [False, False, True, True, True, True, True]


def test_an_open_file_begins_where_it_stands() -> None:
    file = io.BytesIO(CONTENT)
    file.seek(200)
    source = readable(file, None)
    assert source.size == 56
    assert source.read(0, 5) == CONTENT[200:205]


def test_what_cannot_be_read_twice_may_be_larger_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_sources, "MEMORY_BYTES", 10)
    source = readable(cast(BinaryIO, Pipe(CONTENT * 100)), None)
    assert source.size == 25_600
    assert source.read(25_000, 1000) == (CONTENT * 100)[25_000:]


def test_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("x")
    with path.open() as file, pytest.raises(ParaqueueError, match="mode 'rb'"):
        readable(cast(BinaryIO, file), None)
