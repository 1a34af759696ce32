"""Which files a command means, where its output goes, and how unfinished uploads are remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from paraqueue.audio_sources import LocalFile
from paraqueue.cli.files import expanded, output_paths, write_whole
from paraqueue.cli.memory import UploadFiles
from paraqueue.errors import ConfigurationError


def test_folders_are_their_audio_and_video_and_the_rest_is_named(tmp_path: Path) -> None:
    for name in ("b.MP3", "a.wav", "notes.txt", "deeper/c.m4a", "deeper/._c.m4a", "v.AMR", "w.silk", "call", "x.vob"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    sources = expanded([str(tmp_path), "https://example.com/d.mp3", str(tmp_path / "notes.txt")])
    assert [Path(item).name for item in sources.found] == [
        *("a.wav", "b.MP3", "c.m4a", "v.AMR", "w.silk", "x.vob", "d.mp3", "notes.txt")
    ]
    assert sources.skipped == [str(tmp_path / name) for name in ("call", "deeper/._c.m4a", "notes.txt")]


def test_what_cannot_be_read_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        expanded([str(tmp_path / "missing.mp3")])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigurationError, match=r"no audio or video in .* \(other files: 1\)"):
        expanded([str(tmp_path)])


def test_outputs_do_not_overwrite_each_other(tmp_path: Path) -> None:
    sources = ["a/call.wav", "b/call.mp3", "https://example.com/call.mp3?sig=1", "https://example.com/"]
    names = [path.name for path in output_paths(sources, tmp_path, "srt")]
    assert names == ["call.srt", "call-2.srt", "call-3.srt", "example.srt"]


def test_a_transcript_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "out" / "call.txt"
    write_whole(target, "会议".encode())
    assert target.read_text(encoding="utf-8") == "会议"
    assert [item.name for item in target.parent.iterdir()] == ["call.txt"]


def test_an_unfinished_upload_is_remembered_for_its_service_and_its_bytes(tmp_path: Path) -> None:
    memory = UploadFiles("https://one.example", tmp_path / "uploads")
    file = LocalFile(tmp_path / "a.wav", 10, 1, "a.wav")
    assert memory.recall(file.identity) is None
    memory.remember(file.identity, "up_1")
    assert UploadFiles("https://one.example", tmp_path / "uploads").recall(file.identity) == "up_1"
    assert UploadFiles("https://two.example", tmp_path / "uploads").recall(file.identity) is None
    assert memory.recall(LocalFile(tmp_path / "a.wav", 10, 2, "a.wav").identity) is None, "it changed since"
    memory.forget(file.identity)
    assert memory.recall(file.identity) is None
