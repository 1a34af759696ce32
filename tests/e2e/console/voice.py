"""What the browser's microphone hears."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg

from dev.stack import REPOSITORY

MEETING = REPOSITORY / "samples" / "meeting.mp3"


def spoken_wav(place: Path, seconds: int = 20) -> Path:
    """The beginning of the sample recording, as Chromium's fake microphone takes it: 48 kHz, 16 bit."""
    target = place / "voice.wav"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(MEETING), "-t", str(seconds)]
    subprocess.run([*command, "-ac", "1", "-ar", "48000", "-c:a", "pcm_s16le", str(target)], check=True, timeout=300)
    return target


def repeated(place: Path, times: int) -> Path:
    """The sample recording several times over: a job that does not end while a test looks at it."""
    target = place / "long meeting.mp3"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-stream_loop", str(times - 1), "-i", str(MEETING)]
    subprocess.run([*command, "-c", "copy", str(target)], check=True, timeout=300)
    return target
