"""Recordings of any length, made from the sentences of `samples/meeting.mp3` in random order, at random loudness.

A fixed seed for each file: the same name holds the same audio everywhere, and no two files are alike.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.decoding import decoded
from bench.machine import REPOSITORY

SAMPLE_RATE = 16_000
MEETING = REPOSITORY / "samples" / "meeting.mp3"
FORMS = {
    "mp3": ("-c:a", "libmp3lame", "-b:a", "48k"),
    "m4a": ("-c:a", "aac", "-b:a", "64k"),
}
EDGE_SAMPLES = SAMPLE_RATE // 8
Samples = NDArray[np.int16]


def ffmpeg_program() -> str:
    """The ffmpeg that the engine uses; "" where its package is not installed: then there is wav, read by soundfile."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return ""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def recording(directory: Path, seconds: float, number: int, form: str = "wav") -> Path:
    """A file of that length; `number` chooses which. Made once."""
    path = directory / f"{seconds:g}s-{number}.{form}"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        write(compose(seconds, number), path)
    return path


def recordings(
    directory: Path, count: int, seconds: float, forms: tuple[str, ...] = ("wav", "mp3", "m4a")
) -> list[Path]:
    """`count` different files, their forms in turn."""
    return [recording(directory, seconds, number, forms[number % len(forms)]) for number in range(count)]


def compose(seconds: float, number: int) -> Samples:
    """Sentences with pauses of 0.2 to 2.5 s, over faint noise."""
    generator = np.random.default_rng((20_260, number))
    sentences = spoken_sentences()
    wanted = int(seconds * SAMPLE_RATE)
    pieces: list[NDArray[np.float32]] = []
    length = 0
    while length < wanted:
        for index in generator.permutation(len(sentences)):
            gain = np.float32(generator.uniform(0.3, 1.2))
            pause = np.zeros(int(generator.uniform(0.2, 2.5) * SAMPLE_RATE), np.float32)
            pieces += [sentences[index] * gain, pause]
            length += len(sentences[index]) + len(pause)
    audio = np.concatenate(pieces)[:wanted]
    audio += generator.standard_normal(wanted, np.float32) * 6
    return audio.clip(-32768, 32767).astype(np.int16)


@functools.cache
def spoken_sentences() -> tuple[NDArray[np.float32], ...]:
    """The sentences of the meeting, each with a little of what is around it, on the scale of int16."""
    samples = read(MEETING).astype(np.float32)
    places = json.loads(MEETING.with_suffix(".json").read_text("utf-8"))["sentences"]
    scale = SAMPLE_RATE // 1000
    return tuple(
        samples[max(place["start_ms"] * scale - EDGE_SAMPLES, 0) : place["end_ms"] * scale + EDGE_SAMPLES]
        for place in places
    )


def read(path: Path) -> Samples:
    """Any audio file as int16 [samples], mono, 16 kHz."""
    return np.round(decoded(str(path), ffmpeg_program()) * 32768).astype(np.int16)


def write(samples: Samples, path: Path) -> None:
    """int16 [samples] in the form that the name of the file asks for."""
    unfinished = path.with_name(f"new-{path.name}")
    if path.suffix == ".wav":
        with wave.open(str(unfinished), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(samples.tobytes())
        unfinished.replace(path)
        return
    command = [ffmpeg_program(), "-nostdin", "-loglevel", "error", "-y"]
    command += ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "pipe:0"]
    command += [*FORMS[path.suffix[1:]], str(unfinished)]
    subprocess.run(command, input=samples.tobytes(), check=True)
    unfinished.replace(path)
