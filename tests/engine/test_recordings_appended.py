"""Files that were appended to one another, and streams that change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.recordings import BEEPS_MS, KINDS, beeping, decode, near
from worker.engine.decoding.child import structure


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("plain")
    for name, options in KINDS.items():
        beeping(place / name, *options)
    return place


def test_a_chain_of_ogg_streams_with_other_parameters(tmp_path: Path) -> None:
    for codec in ("libvorbis", "libopus"):
        one = beeping(tmp_path / "one.ogg", "-c:a", codec, "-ac", "1")
        two = beeping(tmp_path / "two.ogg", "-c:a", codec, "-ac", "2", "-ar", "24000")
        chain = tmp_path / "chain.ogg"
        chain.write_bytes(one.read_bytes() + two.read_bytes() + one.read_bytes())
        sound = decode(chain)
        assert near(sound.beeps(), [ms + link * 7000 for link in range(3) for ms in BEEPS_MS], 50), sound.beeps()
        assert sound.codes == {"format_changed"}


APPENDED = {"pcm.wav": 25, "aac.m4a": 50, "fragmented.m4a": 80, "live.webm": 50, "a.flac": 25, "a.amr": 120}


@pytest.mark.parametrize("name", APPENDED)
def test_files_that_were_appended_to_one_another_are_all_heard(plain: Path, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes((plain / name).read_bytes() * 2)
    sound = decode(path)
    assert near(sound.beeps(), [ms + part * 7000 for part in range(2) for ms in BEEPS_MS], APPENDED[name])
    assert "audio_truncated" not in sound.codes


def test_appended_wavs_of_which_the_last_breaks_off(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes((plain / "pcm.wav").read_bytes() * 2)
    path.write_bytes(path.read_bytes()[:-48_000])
    sound = decode(path)
    assert sound.length_ms == 13_500
    assert sound.warning("audio_truncated").start_ms == 13_500


def test_appended_wavs_of_which_the_last_does_not_know_its_length(plain: Path, tmp_path: Path) -> None:
    whole = (plain / "pcm.wav").read_bytes()
    data = whole.index(b"data") + 4
    path = tmp_path / "a.wav"
    path.write_bytes(whole + whole[:data] + b"\xff" * 4 + whole[data + 4 :])
    sound = decode(path)
    assert sound.length_ms == 14_000
    assert sound.codes == set()


@pytest.mark.parametrize("between", [b"", b"again"])
def test_what_was_heard_before_an_appended_file_that_cannot_be_opened_counts(
    plain: Path, between: bytes, tmp_path: Path
) -> None:
    whole = (plain / "aac.m4a").read_bytes()
    assert b"moov" not in whole[: len(whole) // 2]
    broken = b"\0\0\0\x10ftypisom" + bytes(4) + b"\0\0\0\x08free"
    path = tmp_path / "a.m4a"
    path.write_bytes(whole + (broken + whole if between else whole[: len(whole) // 2]))
    sound = decode(path)
    wanted = [ms + part * 7000 for part in range(2 if between else 1) for ms in BEEPS_MS]
    assert near(sound.beeps(), wanted, 50), sound.beeps()
    assert sound.codes == ({"audio_damaged"} if between else {"audio_truncated"})


def test_more_appended_files_than_are_read(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MOST_LINKS", 3)
    for name in ("pcm.wav", "aac.m4a"):
        for count in (2, 4):
            path = tmp_path / name
            path.write_bytes((plain / name).read_bytes() * count)
            with path.open("rb") as file:
                inspected = structure.inspect(file.fileno(), path.stat().st_size)
            assert (len(inspected.links), inspected.broken_off) == (min(count, 3), count > 3)


def test_a_bare_stream_that_changes_its_rate(plain: Path, tmp_path: Path) -> None:
    other = beeping(tmp_path / "other.aac", "-ar", "24000")
    path = tmp_path / "both.aac"
    path.write_bytes((plain / "a.aac").read_bytes() + other.read_bytes())
    sound = decode(path)
    assert near(sound.beeps(), [ms + part * 7000 for part in range(2) for ms in BEEPS_MS], 150), sound.beeps()
    assert sound.codes == {"format_changed"}
