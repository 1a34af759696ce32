"""Audio for contenders that cannot read every kind of file themselves: decoded in their own timed run."""

from __future__ import annotations

import subprocess

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000


def decoded(file: str, ffmpeg: str) -> NDArray[np.float32]:
    """float32 [samples] in -1..1, mono, 16 kHz; without an ffmpeg by soundfile, which takes the file as it is."""
    if not ffmpeg:
        import soundfile

        samples: NDArray[np.float32] = soundfile.read(file, dtype="float32")[0]
        return samples
    command = [
        ffmpeg,
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        file,
        "-f",
        "s16le",
        "-ac",
        "1",
        "-ar",
        "16000",
        "pipe:1",
    ]
    data = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(data, np.int16).astype(np.float32) / np.float32(32768)
