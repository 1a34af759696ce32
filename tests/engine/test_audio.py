"""Decoding: formats, lengths, refusals, limits, and leftovers."""

from __future__ import annotations

import http.server
import itertools
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
    DecodeLimit,
    DecodeStalled,
    ParaqueueError,
)
from tests.waiting import until
from training import speech
from worker.engine.audio import SAMPLE_RATE, AudioReader, DecodeLimits
from worker.engine.decoding import forking
from worker.engine.decoding.forking import ForkServer
from worker.engine.decoding.process import Child, Order

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


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 5 s of speech as a wav file of 16 kHz, mono, 16 bit."""
    path = tmp_path_factory.mktemp("audio") / "spoken.wav"
    sentence = "今天下午三点我们在会议室讨论下个季度的计划。"
    speech.write_wav(path, speech.synthesize(sentence, speech.HELD_OUT_VOICES[0]).samples)
    return path


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


class _Canary(http.server.BaseHTTPRequestHandler):
    hits: list[str]

    def do_GET(self) -> None:
        self.hits.append(self.path)
        self.send_response(200)
        self.end_headers()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "concat-bare": "file '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" mimeType="audio/mp4"><BaseURL>{target}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "svg": '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    '<image xlink:href="{target}"/></svg>',
    "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n",
    "smil": '<smil><body><audio src="{target}"/></body></smil>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["wav", "m3u8"])
def test_playlists_open_nothing(kind: str, suffix: str, spoken: Path, tmp_path: Path) -> None:
    hits: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Canary", (_Canary,), {"hits": hits}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / f"file.{suffix}"
    try:
        for target in (str(spoken), f"file://{spoken}", f"http://127.0.0.1:{server.server_port}/canary.wav"):
            path.write_text(PLAYLISTS[kind].format(target=target))
            with pytest.raises(ParaqueueError) as caught:
                read(path)
            assert caught.value.code in ("audio_not_decodable", "audio_missing")
    finally:
        server.shutdown()
        server.server_close()
    assert hits == []


def test_a_reference_inside_a_mov_opens_nothing(spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.mov"
    ffmpeg("-i", spoken, "-c:a", "pcm_s16le", path)
    data = path.read_bytes()
    # The data reference of the track: from "in this file" to a path of another one.
    inside = data.index(b"url \0\0\0\1") if b"url \0\0\0\1" in data else data.index(b"alis\0\0\0\1")
    changed = data[: inside + 7] + b"\0" + data[inside + 8 :]
    path.write_bytes(changed)
    (tmp_path / "other.wav").write_bytes(spoken.read_bytes())
    with AudioReader(path, limits=LIMITS) as reader:
        fds = {str(link.readlink()) for link in Path(f"/proc/{reader.pid}/fd").iterdir()}
    assert not any("other" in name for name in fds)


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_the_child_is_gone_after_close_and_after_an_error(spoken: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    ffmpeg("-stream_loop", "200", "-i", spoken, long)
    with AudioReader(long, limits=LIMITS) as reader:
        next(reader.blocks(1000))
        assert _alive(reader.pid)
    assert not _alive(reader.pid)
    threads, pipes = set(threading.enumerate()), _pipes()
    for _ in range(5):
        with (
            pytest.raises(ValueError, match="stop"),
            AudioReader(long, limits=LIMITS) as reader,
        ):
            next(reader.blocks(1000))
            raise ValueError("stop")
        assert not _alive(reader.pid)
    assert set(threading.enumerate()) <= threads
    assert _pipes() <= pipes


def _pipes() -> set[str]:
    """The pipes that this process holds: what ties a reader to its child. Sockets come and go with the session."""
    links = Path("/proc/self/fd").iterdir()
    return {target for target in map(_target, links) if target.startswith("pipe:")}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the listing's own
        return ""


def test_the_child_dies_with_its_parent(spoken: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    ffmpeg("-stream_loop", "200", "-i", spoken, long)
    program = (
        "import sys, time; from pathlib import Path; from worker.engine.audio import *\n"
        "reader = AudioReader(Path(sys.argv[1]), limits=DecodeLimits(None, 60, 1 << 30, 20.0))\n"
        "print(reader.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(long)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not _running(child))


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_limits_reach_the_child(spoken: Path) -> None:
    with AudioReader(spoken, limits=LIMITS) as reader:
        words = Path(f"/proc/{reader.pid}/limits").read_text()
    values = {line[:26].strip(): line[26:].split()[0] for line in words.splitlines()}
    assert values["Max cpu time"] == "60"
    assert values["Max address space"] == str(1 << 30)
    assert values["Max file size"] == "0"


def test_processor_time_is_limited(spoken: Path, tmp_path: Path) -> None:
    short, long = tmp_path / "short.mp3", tmp_path / "long.mp3"
    ffmpeg("-i", spoken, short)
    ffmpeg("-stream_loop", "3000", "-i", short, "-c", "copy", long)
    limits = DecodeLimits(max_duration_ms=None, cpu_seconds=1, memory_bytes=1 << 30, idle_timeout_seconds=20.0)
    with pytest.raises(DecodeLimit):
        read(long, limits=limits)


def test_memory_is_limited(spoken: Path) -> None:
    limits = DecodeLimits(max_duration_ms=None, cpu_seconds=60, memory_bytes=40 << 20, idle_timeout_seconds=20.0)
    with pytest.raises((DecodeLimit, AudioNotDecodable)):
        read(spoken, limits=limits)


@contextmanager
def child_of(path: Path) -> Iterator[tuple[Child, Iterator[tuple[bytes, bytes]]]]:
    """A decoding process that has started and sent its first message, on a machine of any speed."""
    with path.open("rb", buffering=0) as file:
        child = Child(file, Order("pcm"), cpu_seconds=60, memory_bytes=1 << 30, idle_seconds=120.0)
    try:
        messages = child.messages()
        next(messages)
        yield child, messages
    finally:
        child.close()


def test_a_child_that_waits_without_end_is_ended_as_stalled(spoken: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    ffmpeg("-stream_loop", "200", "-i", spoken, long)
    with child_of(long) as (child, messages):
        os.kill(child.pid, signal.SIGSTOP)
        child.idle_seconds = 0.1
        with pytest.raises(DecodeStalled):
            list(messages)
    assert not _alive(child.pid)


def test_a_child_that_computes_without_end_is_ended_as_too_expensive(
    spoken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program replaces a decoder that a file keeps busy; everything else is real."""
    endless = ForkServer("tests.engine.odd_decoder")
    monkeypatch.setattr(forking, "DECODERS", endless)
    with closing(endless), child_of(spoken) as (child, messages):
        child.idle_seconds = 0.1
        with pytest.raises(DecodeLimit, match="at work"):
            list(messages)
    assert not _alive(child.pid)


def odd_child(path: Path, what: bytes) -> Child:
    path.write_bytes(what)
    with path.open("rb", buffering=0) as file:
        return Child(file, Order("pcm"), cpu_seconds=60, memory_bytes=1 << 30, idle_seconds=120.0)


@pytest.mark.usefixtures("odd")
def test_a_child_that_is_only_alive_is_ended_as_too_expensive(tmp_path: Path) -> None:
    with closing(odd_child(tmp_path / "odd", b"alive")) as child:
        child.soundless_seconds = 0.5
        with pytest.raises(DecodeLimit, match=r"no sound came for 0\.5 s"):
            list(child.messages())
    assert not _alive(child.pid)


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("what", [b"alive", b"sleep", b"sound, then nothing"])
def test_the_reader_of_a_child_is_asked_all_the_time_whether_to_go_on(what: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(what)
    asked = itertools.count()

    def check() -> None:
        if next(asked) == 5:
            raise InterruptedError

    limits = DecodeLimits(max_duration_ms=None, cpu_seconds=60, memory_bytes=1 << 30, idle_timeout_seconds=120.0)
    with pytest.raises(InterruptedError), AudioReader(path, limits=limits, check=check) as reader:
        list(reader.blocks(1000))


@pytest.mark.usefixtures("odd")
def test_a_child_that_others_kill_has_not_reached_its_limit(tmp_path: Path) -> None:
    with closing(odd_child(tmp_path / "odd", b"sound, then nothing")) as child:
        messages = child.messages()
        next(messages)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(DecodeStalled, match="was killed"):
            list(messages)


def test_the_reason_to_end_a_child_counts_though_its_server_is_frozen(
    odd: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(odd_child(tmp_path / "odd", b"sleep")) as child:
        assert odd.pid is not None
        os.kill(odd.pid, signal.SIGSTOP)
        monkeypatch.setattr(forking, "ANSWER_SECONDS", 0.5)
        child.idle_seconds = 0.1
        with pytest.raises(DecodeStalled, match="waits for the file"):
            list(child.messages())


def test_a_file_with_endless_complaints_does_not_block(spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.mp3"
    ffmpeg("-stream_loop", "20", "-i", spoken, path)
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    for at in generator.integers(4000, len(data), len(data) // 100):
        data[at] = generator.integers(256)
    path.write_bytes(bytes(data))
    try:
        assert read(path).shape[1] > 0
    except ParaqueueError as error:
        assert error.code in ("audio_not_decodable", "audio_truncated")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_audio(spoken: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.wav"
    ffmpeg("-stream_loop", "-1", "-i", spoken, "-t", "7200", long)
    seen: list[int] = []
    with AudioReader(long, limits=LIMITS) as reader:
        for number, _ in enumerate(reader.blocks(160_000)):
            if number % 60 == 10:
                child = Path(f"/proc/{reader.pid}/status").read_text()
                rss = int(child.split("VmRSS:")[1].split()[0])
                seen.append(rss + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert len(seen) > 10
    assert max(seen) - seen[0] < 8_000
