"""Decoding: formats, lengths, refusals, limits, and leftovers."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from common.errors import (
    AudioEmpty,
    AudioMissing,
    AudioNotDecodable,
    AudioTooLong,
)
from worker.engine.audio import SAMPLE_RATE, AudioReader, DecodeLimits

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LIMITS = DecodeLimits(max_duration_ms=None, cpu_seconds=60, memory_bytes=1 << 30, idle_timeout_seconds=20.0)
VIDEO = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=6")
Block = npt.NDArray[np.int16]


def ffmpeg(*arguments: str | Path) -> None:
    command = [FFMPEG, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def read(path: Path, *, split: bool = False, limits: DecodeLimits = LIMITS, block: int = 16_000) -> Block:
    with AudioReader(path, channels="split" if split else "mix", limits=limits) as reader:
        blocks = list(reader.blocks(block))
    assert all(part.shape == (reader.channels, block) for part in blocks[:-1])
    return np.concatenate(blocks, axis=1)


def similarity(actual: Block, expected: Block) -> float:
    """Best correlation of the 10 ms envelopes over shifts up to 100 ms, which codecs and resampling cause."""
    left, right = (np.abs(one[0, : one.shape[1] // 160 * 160].astype(float)) for one in (actual, expected))
    left, right = left.reshape(-1, 160).mean(1), right.reshape(-1, 160).mean(1)
    size = min(len(left), len(right)) - 20
    return max(float(np.corrcoef(left[shift : shift + size], right[10 : 10 + size])[0, 1]) for shift in range(21))


FORMATS = [
    ("wav", ["-c:a", "pcm_u8"]),
    ("wav", ["-c:a", "pcm_s24le", "-ar", "96000"]),
    ("wav", ["-c:a", "pcm_f32le", "-ar", "44100", "-ac", "2"]),
    ("wav", ["-c:a", "pcm_s16le", "-ar", "8000"]),
    ("wav", ["-c:a", "pcm_s16le", "-ar", "48000", "-ac", "6"]),
    ("wav", ["-c:a", "adpcm_ima_wav"]),
    ("w64", []),
    ("aiff", []),
    ("caf", []),
    ("mp3", []),
    ("m4a", []),
    ("m4a", ["-c:a", "alac"]),
    ("aac", []),
    ("flac", []),
    ("ogg", []),
    ("opus", []),
    ("amr", ["-ar", "8000", "-ac", "1"]),
    ("wma", []),
    ("ac3", []),
    ("wv", []),
    ("tta", []),
    ("3gp", ["-c:a", "aac"]),
    ("mka", []),
    ("ts", ["-c:a", "aac"]),
]


@pytest.mark.parametrize(("suffix", "options"), FORMATS, ids=lambda value: str(value))
def test_formats(suffix: str, options: list[str], spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / f"file.{suffix}"
    ffmpeg("-i", spoken, *options, path)
    expected = read(spoken)
    block = read(path)
    assert block.dtype == np.int16
    assert abs(block.shape[1] - expected.shape[1]) < 0.15 * SAMPLE_RATE
    assert similarity(block, expected) > 0.9


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm", "avi", "mov", "flv"])
def test_the_sound_of_videos(suffix: str, spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / f"file.{suffix}"
    codec = {"webm": "libvpx", "avi": "mpeg4"}.get(suffix, "libx264")
    ffmpeg(
        *VIDEO,
        "-i",
        spoken,
        "-c:v",
        codec,
        "-pix_fmt",
        "yuv420p",
        "-ar",
        "48000" if suffix == "webm" else "44100",
        path,
    )
    assert similarity(read(path), read(spoken)) > 0.9


def test_16_khz_wav_comes_through_unchanged(spoken: Path) -> None:
    plain = np.frombuffer(spoken.read_bytes()[44:], np.int16)
    assert np.array_equal(read(spoken)[0], plain)
    with AudioReader(spoken, limits=LIMITS) as reader:
        assert reader.duration_ms is not None
        assert abs(reader.duration_ms - len(plain) / 16) < 10


@pytest.mark.parametrize("block", [1000, 16_000, 10_000_000])
def test_block_sizes(block: int, spoken: Path) -> None:
    assert np.array_equal(read(spoken, block=block), read(spoken))


def _stereo(spoken: Path, path: Path) -> None:
    """Speech left; right half as loud and later."""
    ffmpeg("-i", spoken, "-filter_complex", "[0:a]asplit[a][b];[b]adelay=500,volume=0.5[c];[a][c]amerge", path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "m4a"])
def test_split_channels(suffix: str, spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / f"stereo.{suffix}"
    _stereo(spoken, path)
    block = read(path, split=True)
    assert block.shape[0] == 2
    assert similarity(block[:1], read(spoken)) > 0.95
    assert similarity(block[1:, 8000:], read(spoken)) > 0.95
    if suffix == "wav":
        mixed = read(path)
        assert mixed.shape[0] == 1
        assert np.abs(mixed[0].astype(int) - block.astype(int).sum(0) // 2).max() <= 1


def test_six_channels_are_split(spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / "six.wav"
    ffmpeg("-i", spoken, "-af", "pan=6c|c0=0*c0|c1=0*c0|c2=0*c0|c3=0*c0|c4=0*c0|c5=c0", path)
    block = read(path, split=True)
    assert [bool(channel.any()) for channel in block] == [False] * 5 + [True]


@pytest.mark.parametrize("name", ["file.mp3", "file.txt", "file", "file.m3u8", "-i", "concat:file.wav", "a b'c.wav"])
def test_names_mean_nothing(name: str, spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(spoken.read_bytes())
    assert np.array_equal(read(path), read(spoken))


def test_empty(tmp_path: Path, spoken: Path) -> None:
    path = tmp_path / "empty.wav"
    path.write_bytes(b"")
    with pytest.raises(AudioEmpty):
        read(path)
    path.write_bytes(spoken.read_bytes()[:40] + struct.pack("<I", 0))
    with pytest.raises(AudioEmpty):
        read(path)


def test_things_that_are_not_audio(tmp_path: Path) -> None:
    path = tmp_path / "file.mp3"
    for content in (
        b"<!doctype html><html><body>404</body></html>",
        b"x",
        b"\0" * 70_000,
        np.random.default_rng(0).bytes(200_000),
    ):
        path.write_bytes(content)
        with pytest.raises(AudioNotDecodable) as caught:
            read(path)
        assert str(tmp_path) not in caught.value.message
    path.write_text("1\n00:00:01,000 --> 00:00:04,000\nhello\n", "utf-8")
    with pytest.raises(AudioNotDecodable):
        read(path)


def test_pictures_and_silent_videos(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "gif"):
        ffmpeg(*VIDEO, "-frames:v", "1", tmp_path / f"picture.{suffix}")
        with pytest.raises(AudioMissing):
            read(tmp_path / f"picture.{suffix}")
    for suffix in ("mp4", "mkv"):
        ffmpeg(*VIDEO, tmp_path / f"video.{suffix}")
        with pytest.raises(AudioMissing):
            read(tmp_path / f"video.{suffix}")


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36, 0x7FFFF000])
def test_wav_of_a_streaming_encoder(length: int, spoken: Path, tmp_path: Path) -> None:
    data = spoken.read_bytes()
    path = tmp_path / "stream.wav"
    path.write_bytes(data[:4] + struct.pack("<I", 0xFFFFFFFF) + data[8:40] + struct.pack("<I", length) + data[44:])
    assert np.array_equal(read(path), read(spoken))


def test_lengths_that_are_only_estimated_are_not_believed(spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.aac"
    ffmpeg("-i", spoken, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with AudioReader(path, limits=LIMITS) as reader:
        assert reader.duration_ms is None
        assert sum(block.shape[1] for block in reader.blocks(16_000)) > SAMPLE_RATE


@pytest.mark.parametrize("suffix", ["wav", "mp3", "aac", "mkv"])
def test_too_long(suffix: str, spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / f"file.{suffix}"
    ffmpeg("-stream_loop", "3", "-i", spoken, path)
    limits = DecodeLimits(max_duration_ms=4000, cpu_seconds=60, memory_bytes=1 << 30, idle_timeout_seconds=20.0)
    got = 0
    with pytest.raises(AudioTooLong), AudioReader(path, limits=limits) as reader:
        for block in reader.blocks(8000):
            got += block.shape[1]
    assert got <= 64_000
