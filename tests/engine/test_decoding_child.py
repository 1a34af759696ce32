"""The decoding child: its end, its limits, and what happens if it says nothing."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from common.errors import (
    AudioNotDecodable,
    DecodeLimit,
    DecodeStalled,
    ParaqueueError,
)
from tests.engine.test_audio import LIMITS, ffmpeg, read
from tests.waiting import until
from worker.engine.audio import AudioReader, DecodeLimits
from worker.engine.decoding import forking
from worker.engine.decoding.forking import ForkServer
from worker.engine.decoding.process import Child, Order


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
