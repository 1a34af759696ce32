"""ffmpeg as a child process that can do nothing but decode, and what it says while it does.

The child gets the open file as its standard input and knows no protocol but `fd`, so no playlist, reference
or title inside a file can make it open another one, whatever the demuxers do; and it knows only containers
of sound. Its processor time, memory and files are limited, and it dies with the thread that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import IO

FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,amrnb,amrwb,ape,asf,avi,dts,dsf,flv,gsm,loas,matroska,mov,"
    "mpeg,mpegts,mpc,mpc8,ogg,qcp,rm,tak,tta,voc,wv"
)
# Containers whose length is written down exactly, so that missing samples mean a broken-off file. wav is checked by
# its bytes before the child starts; matroska and mp3 are believed only together with ffmpeg's complaint.
EXACT_FORMATS = frozenset({"w64", "aiff", "caf", "flac", "mov", "ape", "tta", "wv"})
PIPE_BYTES = 1 << 20
LINE_BYTES = 2_000
INPUT_SECONDS = 5.0
F_SETPIPE_SZ = 1031

# A program between us and ffmpeg instead of preexec_fn, which can deadlock in a process with threads.
_LAUNCHER = """
import ctypes, os, resource, sys
ctypes.CDLL(None).prctl(1, 9)
parent, cpu, memory = map(int, sys.argv[1:4])
if os.getppid() != parent: os._exit(1)
limits = (("CPU", cpu, cpu), ("AS", memory, memory), ("FSIZE", 0, 0), ("NOFILE", 32, 32), ("CORE", 0, 0))
for limit, soft, hard in limits:
    resource.setrlimit(getattr(resource, "RLIMIT_" + limit), (soft, hard))
os.execve(sys.argv[4], sys.argv[4:], {"LC_ALL": "C"})
"""


def start(
    ffmpeg: str, file: io.FileIO, *, split_channels: bool, cpu_seconds: int, memory_bytes: int
) -> subprocess.Popen[bytes]:
    """Decode the first sound track of `file`, from its present position on, to a 16 kHz wav on stdout."""
    output = [*([] if split_channels else ["-ac", "1"]), "-ar", "16000", "-c:a", "pcm_s16le"]
    output += ["-fflags", "+bitexact", "-f", "wav", "pipe:1"]
    return _start(ffmpeg, file, output, cpu_seconds=cpu_seconds, memory_bytes=memory_bytes)


def start_mp3(
    ffmpeg: str, file: io.FileIO, *, most_seconds: int, cpu_seconds: int, memory_bytes: int
) -> subprocess.Popen[bytes]:
    """Make the first sound track of `file`, so long at most, over to mp3 on stdout, one or two channels.

    At a constant rate, and so without an index: a browser finds each second of it by its place.
    """
    output = ["-t", str(most_seconds), "-af", "aformat=channel_layouts=mono|stereo", "-ar", "24000"]
    output += ["-c:a", "libmp3lame", "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", "pipe:1"]
    return _start(ffmpeg, file, output, cpu_seconds=cpu_seconds, memory_bytes=memory_bytes)


def start_u8(
    ffmpeg: str, file: io.FileIO, *, rate: int, most_seconds: int, cpu_seconds: int, memory_bytes: int
) -> subprocess.Popen[bytes]:
    """Decode the first sound track of `file`, so long at most, to bytes on stdout: one channel, silence is 128."""
    output = ["-t", str(most_seconds), "-ac", "1", "-ar", str(rate), "-c:a", "pcm_u8", "-f", "u8", "pipe:1"]
    return _start(ffmpeg, file, output, cpu_seconds=cpu_seconds, memory_bytes=memory_bytes)


def _start(
    ffmpeg: str, file: io.FileIO, output: list[str], *, cpu_seconds: int, memory_bytes: int
) -> subprocess.Popen[bytes]:
    limits = [str(os.getpid()), str(cpu_seconds), str(memory_bytes)]
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *limits, ffmpeg]
    command += ["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info"]
    command += ["-protocol_whitelist", "fd", "-format_whitelist", FORMATS, "-threads", "1", "-i", "fd:"]
    command += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-filter_threads", "1", *output]
    child = subprocess.Popen(
        command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, cwd="/", env={}
    )
    with contextlib.suppress(OSError):  # fewer switches between the processes, where the kernel allows it
        fcntl.fcntl(pipe(child.stdout), F_SETPIPE_SZ, PIPE_BYTES)
    return child


def is_computing(pid: int) -> bool:
    """Whether a child runs, or would if there was a processor for it; else it waits for something, or has ended."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return told.rpartition(")")[2].split()[0] == "R"  # the name before it may hold anything


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """A stream of a child that was started with pipes."""
    if stream is None:
        raise RuntimeError("the child was started without pipes")
    return stream


class Report:
    """What ffmpeg says on stderr, read by a thread so that the child never blocks on it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.declared_ms: int | None = None
        self.format = ""
        self.opened = False
        self.has_sound = False
        self.broken_off = False
        self._has_video = False
        self._estimated = False
        self._in_output = False
        self._words: deque[str] = deque(maxlen=3)
        self._stream = stream
        self._mapped = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="ffmpeg-stderr", daemon=True)
        self._thread.start()

    @property
    def exact(self) -> bool:
        """Whether `declared_ms` is the length of the sound, not of a picture beside it."""
        return self.format in EXACT_FORMATS and not self._has_video

    def wait_for_input(self) -> None:
        """Until the description of the input has been read."""
        self._mapped.wait(INPUT_SECONDS)

    def last_words(self) -> str:
        """ffmpeg's last complaints, without addresses."""
        return "; ".join(self._words)

    def close(self) -> None:
        """After the child's end."""
        self._thread.join(INPUT_SECONDS)
        if not self._thread.is_alive():
            self._stream.close()

    def _drain(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := self._stream.readline(LINE_BYTES):
                self._take(line.decode("utf-8", "replace").rstrip())
        self._mapped.set()

    def _take(self, line: str) -> None:
        text = re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] ", "", line)
        level, _, text = text.partition("] ")
        if level in ("[error", "[fatal"):
            self._complain(text)
        elif level == "[warning" and "Estimating duration" in text:
            self._estimated = True
        elif level == "[warning" and text.startswith("filesize and duration do not match"):
            self.broken_off = True  # an mp3 with fewer bytes than its Xing header counts
        elif level == "[info" and not self._in_output:
            self._describe(text)

    def _complain(self, text: str) -> None:
        self.broken_off |= text.endswith("partial file") or text.startswith("File ended prematurely")
        if not text.startswith(("Error opening input file", "Error opening output", "Error parsing options")):
            self._words.append(text[:200])

    def _describe(self, text: str) -> None:
        """One line of the description of the input; tags are indented deeper than what is looked for."""
        if found := re.match(r"Input #0, ([\w]+)", text):
            self.opened, self.format = True, found[1]
        elif found := re.match(r"  Duration: (\d+):(\d\d):(\d\d)\.(\d\d)", text):
            hours, minutes, seconds, hundredths = map(int, found.groups())
            total = ((hours * 60 + minutes) * 60 + seconds) * 1000 + hundredths * 10
            self.declared_ms = None if self._estimated else total
        elif found := re.match(r"  Stream #0:\d+\S*: (Audio|Video)", text):
            self.has_sound |= found[1] == "Audio"
            self._has_video |= found[1] == "Video" and "(attached pic)" not in text
        elif text.startswith("Stream mapping:"):
            self._in_output = True
            self._mapped.set()
