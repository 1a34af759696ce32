"""A length in a header is a claim: a wrong one neither fails a good file nor lets one that is too long pass."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import AudioTooLong
from tests.engine.recordings import KINDS, LENGTH, LIMITS, beeping, decode
from worker.engine.audio import SAMPLE_RATE, AudioReader

MP3 = ["cbr.mp3", "vbr.mp3"]
ACTUAL_MS = LENGTH * 1000


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stated")
    for name in [*MP3, "a.flac"]:
        beeping(place / name, *KINDS[name])
    return place


def decoded_ms(path: Path, limit_ms: int) -> int:
    """How much is decoded under a limit. Raises AudioTooLong."""
    with AudioReader(path, limits=replace(LIMITS, max_duration_ms=limit_ms)) as reader:
        samples = sum(int(block.shape[1]) for block in reader.blocks(SAMPLE_RATE))
    return samples * 1000 // SAMPLE_RATE


def refused_before_decoding(path: Path, limit_ms: int) -> bool:
    """Whether a file that is too long is refused because of its header, and not only by its samples."""
    try:
        reader = AudioReader(path, limits=replace(LIMITS, max_duration_ms=limit_ms))
    except AudioTooLong:
        return True
    with reader, pytest.raises(AudioTooLong):
        for _ in reader.blocks(SAMPLE_RATE):
            pass
    return False


def with_frames(data: bytes, change: Callable[[int], int]) -> bytes:
    """An mp3 whose tag states another number of frames."""
    at = next(place for name in (b"Xing", b"Info") if (place := data.find(name)) >= 0)
    flags, frames = struct.unpack(">II", data[at + 4 : at + 12])
    assert flags & 1
    return data[: at + 8] + struct.pack(">I", change(frames)) + data[at + 12 :]


@pytest.mark.parametrize("name", [*MP3, "a.flac"])
def test_what_states_truly_that_it_is_too_long_is_refused_at_once(plain: Path, name: str) -> None:
    assert refused_before_decoding(plain / name, ACTUAL_MS - 1000)


@pytest.mark.parametrize("name", MP3)
def test_a_tag_that_says_too_much_fails_no_good_file(plain: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(with_frames((plain / name).read_bytes(), lambda frames: frames * 40))
    assert abs(decoded_ms(path, ACTUAL_MS + 1000) - ACTUAL_MS) < 100
    assert decode(path).codes == set(), "all bytes are there, and nothing is missing"
    with pytest.raises(AudioTooLong):  # what is too long is refused, whatever else it states
        decoded_ms(path, ACTUAL_MS - 1000)


def with_samples(data: bytes, change: Callable[[int], int]) -> bytes:
    """A flac whose header states another number of samples."""
    stated = change(int.from_bytes(data[21:26], "big") & (1 << 36) - 1)
    return data[:21] + bytes([data[21] & 0xF0 | stated >> 32]) + (stated & 0xFFFFFFFF).to_bytes(4, "big") + data[26:]


@pytest.mark.parametrize("change", [lambda samples: samples // 3, lambda samples: samples * 1000, lambda _: 0])
def test_a_flac_that_is_too_long_is_refused_whatever_it_states(
    plain: Path, tmp_path: Path, change: Callable[[int], int]
) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(with_samples((plain / "a.flac").read_bytes(), change))
    with pytest.raises(AudioTooLong):
        decoded_ms(path, ACTUAL_MS - 1000)
    assert abs(decoded_ms(path, ACTUAL_MS + 1000) - ACTUAL_MS) < 100


@pytest.mark.parametrize("name", MP3)
def test_a_tag_that_says_too_little_lets_nothing_pass(plain: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(with_frames((plain / name).read_bytes(), lambda frames: frames // 3))
    assert not refused_before_decoding(path, ACTUAL_MS - 1000)
    assert abs(decode(path).length_ms - ACTUAL_MS) < 100


@pytest.mark.parametrize("name", MP3)
def test_joined_files_keep_the_tag_of_the_first(plain: Path, tmp_path: Path, name: str) -> None:
    """The second has a higher bit rate, so that an estimate from the first one's is far too long."""
    second = beeping(tmp_path / f"second-{name}", "-q:a", "0")
    path = tmp_path / name
    path.write_bytes((plain / name).read_bytes() + second.read_bytes())
    assert abs(decoded_ms(path, 2 * ACTUAL_MS + 1000) - 2 * ACTUAL_MS) < 200
    assert not refused_before_decoding(path, ACTUAL_MS + 1000)
    assert "audio_truncated" not in decode(path).codes


@pytest.mark.parametrize("name", [*MP3, "a.flac"])
def test_a_file_that_broke_off_counts_for_what_is_there(plain: Path, tmp_path: Path, name: str) -> None:
    data = (plain / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) // 2])
    assert 0 < decoded_ms(path, ACTUAL_MS - 1000) < ACTUAL_MS - 1000
    assert "audio_truncated" in decode(path).codes
