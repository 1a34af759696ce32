"""Recordings as people have them, made with ffmpeg: beeps at known times in every container and codec."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from common.transcript.recording import AudioTrack, RecordingWarning
from worker.engine.audio import SAMPLE_RATE, AudioReader, DecodeLimits

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LIMITS = DecodeLimits(max_duration_ms=None, cpu_seconds=60, memory_bytes=1 << 30, idle_timeout_seconds=60.0)
BEEPS_MS = (1000, 3000, 5500)
LENGTH = 7
# Beeps of 0.3 s, and a hiss that codecs do not throw away.
BEEPS = (
    "aevalsrc='0.5*sin(2*PI*440*t)*(between(t,1,1.3)+between(t,3,3.3)+between(t,5.5,5.8))+0.01*random(0)':d=7:s=48000"
)

# Container and codec: file name, options. What a player's clock is asked of is in tests/e2e/test_player_clock.py.
KINDS: dict[str, tuple[str, ...]] = {
    "pcm.wav": (),
    "float.wav": ("-c:a", "pcm_f32le"),
    "adpcm.wav": ("-c:a", "adpcm_ima_wav"),
    "a.w64": (),
    "a.aiff": (),
    "a.caf": (),
    "a.flac": (),
    "cbr.mp3": ("-b:a", "64k"),
    "vbr.mp3": ("-q:a", "5"),
    "a.aac": (),
    "aac.m4a": (),
    "alac.m4a": ("-c:a", "alac"),
    "fragmented.m4a": ("-movflags", "+frag_keyframe+empty_moov", "-frag_duration", "500000"),
    "faststart.m4a": ("-movflags", "+faststart"),
    "aac.mov": (),
    "a.3gp": ("-c:a", "aac"),
    "a.amr": ("-ar", "8000", "-ac", "1"),
    "vorbis.ogg": ("-c:a", "libvorbis"),
    "a.opus": (),
    "flac.ogg": ("-c:a", "flac"),
    "opus.webm": ("-c:a", "libopus"),
    "live.webm": ("-c:a", "libopus", "-live", "1"),
    "vorbis.mka": ("-c:a", "libvorbis"),
    "aac.mkv": ("-c:a", "aac"),
    "pcm.mkv": ("-c:a", "pcm_s16le"),
    "mp2.ts": (),
    "aac.ts": ("-c:a", "aac"),
    "a.wma": (),
    "mp3.avi": ("-c:a", "mp3"),
    "aac.flv": ("-c:a", "aac", "-ar", "44100"),
    "a.ac3": (),
    "a.wv": (),
    "a.tta": (),
}
# What an encoder puts in front and no field of the file tells: the libraries, and so all players, are late by it.
UNTOLD_MS = {
    "a.aac": 45,
    "a.ac3": 30,
    "a.amr": 30,
    "aac.ts": 45,
    "mp2.ts": 45,
    "a.wma": 90,
    "aac.flv": 45,
    "mp3.avi": 50,
}


@dataclass(frozen=True)
class Sound:
    """The result of decoding a file."""

    samples: npt.NDArray[np.int16]
    warnings: tuple[RecordingWarning, ...]
    tracks: tuple[AudioTrack, ...]

    @property
    def codes(self) -> set[str]:
        """Of the warnings."""
        return {warning.code for warning in self.warnings}

    @property
    def length_ms(self) -> int:
        """Of the sound."""
        return int(self.samples.shape[1]) * 1000 // SAMPLE_RATE

    def beeps(self, channel: int = 0) -> list[int]:
        """Where beeps begin, in ms."""
        return onsets(self.samples[channel].astype(np.float64) / 32768)

    def warning(self, code: str) -> RecordingWarning:
        """The first one with a code."""
        return next(warning for warning in self.warnings if warning.code == code)


def onsets(samples: npt.NDArray[np.float64], rate: int = SAMPLE_RATE) -> list[int]:
    """Where a tone rises over a tenth of the loudest one, in ms, to 5 ms."""
    step = rate // 200
    levels = np.abs(samples[: len(samples) // step * step]).reshape(-1, step).max(1)
    loud = levels > 0.3 * levels.max()
    beeps_ms: list[int] = []
    last = -1000
    for index in np.flatnonzero(loud):
        if index * 5 - last > 150:
            beeps_ms.append(int(index) * 5)
        last = int(index) * 5
    return beeps_ms


def ffmpeg(*arguments: str | Path) -> None:
    """Run it."""
    command = [FFMPEG, "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=120)


def beeping(path: Path, *options: str | Path, before: tuple[str, ...] = (), sound: str = BEEPS) -> Path:
    """A file of beeps; `before` are ffmpeg's options before the input."""
    ffmpeg(*before, "-f", "lavfi", "-i", sound, *options, path)
    return path


def decode(path: Path, *, channels: str = "mix", track: str = "default", block: int = 16_000) -> Sound:
    """The whole of a file."""
    with AudioReader(path, limits=LIMITS, channels=channels, track=track) as reader:
        samples = np.concatenate(list(reader.blocks(block)), axis=1)
        return Sound(samples, reader.warnings, reader.tracks)


def near(actual: list[int], wanted: tuple[int, ...] | list[int], tolerance_ms: int = 50) -> bool:
    """Whether all are there, and near enough."""
    return len(actual) == len(wanted) and all(abs(a - b) <= tolerance_ms for a, b in zip(actual, wanted, strict=True))
