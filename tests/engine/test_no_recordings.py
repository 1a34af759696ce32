"""Files that are no recording, or only the header of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import AudioEmpty, AudioMissing, AudioNotDecodable, ParaqueueError
from tests.engine.recordings import KINDS, beeping, decode


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("plain")
    for name, options in KINDS.items():
        beeping(place / name, *options)
    return place


NO_RECORDINGS = {
    b"CTENFDAM\x01\x70": "NetEase",
    b"#EXTM3U\n#EXTINF:10,\na.ts\n": "playlist",
    b"\xef\xbb\xbf#EXTM3U\r\n": "m3u8",
    b"[playlist]\nFile1=a.mp3\n": "pls",
    b'{"error": "no such file"}': "JSON",
    b'\n[{"error": 1}]': "JSON document",
    b'<?xml version="1.0"?><Error/>': "XML",
    b"<Error><Code>AccessDenied</Code></Error>": "XML document",
    b"\r\n<!DOCTYPE html><html></html>": "HTML",
    b"\xef\xbb\xbf<html><body>": "HTML page",
    b"<head><title>": "an HTML page",
    b"WEBVTT\n\n00:00.000 --> 00:01.000\na": "subtitle",
    b"data:audio/wav;base64,UklGR": "data: link",
    b"%PDF-1.7": "PDF",
    b"PK\x03\x04\x14\0": "ZIP",
    b"Rar!\x1a\x07": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x1f\x8b\x08\0": "gzip",
    b"\0\0\0\x10stypmsdh\0\0\0\0": "segment",
    b"\x89PNG\r\n\x1a\n": "picture",
    b"\xff\xd8\xff\xe0\0\x10JFIF": "a picture",
}


@pytest.mark.parametrize("content", NO_RECORDINGS, ids=NO_RECORDINGS.values())
def test_what_is_no_recording_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recording.mp3"
    path.write_bytes(content + b" " * 100)
    error = AudioMissing if "picture" in NO_RECORDINGS[content] else AudioNotDecodable
    with pytest.raises(error, match=NO_RECORDINGS[content]):
        decode(path)


@pytest.mark.parametrize("name", ["a.opus", "fragmented.m4a"])
def test_a_recording_of_another_browser_that_has_only_a_header(plain: Path, name: str, tmp_path: Path) -> None:
    """Firefox writes ogg, Safari fragmented mp4."""
    data = (plain / name).read_bytes()
    end = data.index(b"moof") - 4 if name.endswith("m4a") else data.index(b"OggS", data.index(b"OpusTags"))
    path = tmp_path / name
    path.write_bytes(data[:end])
    with pytest.raises(AudioEmpty, match="no samples"):
        decode(path)


def test_a_recording_of_a_browser_that_has_only_a_header(plain: Path, tmp_path: Path) -> None:
    data = (plain / "live.webm").read_bytes()
    path = tmp_path / "empty.webm"
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
    with pytest.raises(ParaqueueError, match="empty recording") as caught:
        decode(path)
    assert caught.value.code == "audio_missing"
