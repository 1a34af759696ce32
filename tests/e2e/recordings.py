"""Recordings whose text and times are known exactly, and how far a transcript is from them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import jiwer
import numpy as np
import numpy.typing as npt

from common.transcript.values import Word
from tests.artifacts import ARTIFACTS, making
from training import speech, text
from training.speech import SAMPLE_RATE, SpokenSentence

Pcm = npt.NDArray[np.int16]
SECOND_MS = 1000
_SOURCES = ("espeak.py", "speech.py", "text.py", "patterns.py", "vocabulary.py")


@dataclass(frozen=True)
class Recording:
    """Mono 16 kHz samples, and what is said in them when."""

    samples: Pcm
    sentences: tuple[SpokenSentence, ...]

    @property
    def duration_ms(self) -> int:
        """Length in milliseconds."""
        return len(self.samples) * SECOND_MS // SAMPLE_RATE


def spoken(count: int, seed: int) -> Recording:
    """`count` sentences and a voice that the model never saw; made once and kept."""
    made_by = b"".join((Path(speech.__file__).parent / name).read_bytes() for name in _SOURCES)
    path = ARTIFACTS / "recordings" / f"{hashlib.sha256(made_by).hexdigest()[:12]}-{count}-{seed}.npz"
    with making(path) as missing:
        if missing:
            made = speech.compose(text.held_out_sentences(count, seed), speech.HELD_OUT_VOICES[:1], seed)
            script = json.dumps([[item.text, item.start_ms, item.end_ms] for item in made.sentences])
            unfinished = path.with_suffix(".new.npz")
            np.savez(unfinished, samples=speech.to_pcm(made.samples), script=np.array(script))
            unfinished.rename(path)
    with np.load(path) as kept:
        sentences = tuple(SpokenSentence(*item) for item in json.loads(str(kept["script"])))
        return Recording(kept["samples"], sentences)


def write(samples: Pcm, path: Path, *options: str) -> Path:
    """Write samples int16 [n] or [channels, n] in the format of the file name and ffmpeg's `options`."""
    channels = 1 if samples.ndim == 1 else len(samples)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", str(channels), "-i", "pipe:0", *options, str(path)]
    subprocess.run(command, input=np.ascontiguousarray(samples.T).tobytes(), check=True)
    return path


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg to make a file."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
    subprocess.run([*command, *map(str, arguments)], check=True)


def bare(text: str) -> str:
    """Letters and digits only, in lower case: what error rates are counted on."""
    kept = (character for character in text if unicodedata.category(character)[0] in "LN")
    return unicodedata.normalize("NFKC", "".join(kept)).lower()


def error_rate(reference: Sequence[SpokenSentence], hypothesis: str) -> float:
    """Edit distance over the length of the reference, without punctuation, spaces and case."""
    return float(jiwer.cer(bare("".join(sentence.text for sentence in reference)), bare(hypothesis)))


def time_errors(reference: Sequence[SpokenSentence], words: Sequence[Word]) -> list[tuple[float, float]]:
    """How far, in ms, each sentence's first and last word lie from where it began and ended.

    Recognised sentences are cut by punctuation, so it is words that are compared: those that the alignment of all
    the text gives to the sentence. A sentence without any is infinitely far off.
    """
    expected = [bare(sentence.text) for sentence in reference]
    recognised = [(letter, word) for word in words for letter in bare(word.text)]
    alignment = jiwer.process_characters("".join(expected), "".join(letter for letter, _ in recognised)).alignments[0]
    word_of: dict[int, Word] = {}
    for chunk in alignment:
        if chunk.type in {"equal", "substitute"}:
            places = range(chunk.ref_start_idx, chunk.ref_end_idx)
            word_of.update({place: recognised[chunk.hyp_start_idx + i][1] for i, place in enumerate(places)})
    errors: list[tuple[float, float]] = []
    begin = 0
    for sentence, letters in zip(reference, expected, strict=True):
        own = [word_of[place] for place in range(begin, begin + len(letters)) if place in word_of]
        begin += len(letters)
        if own:
            errors.append((own[0].start_ms - sentence.start_ms, own[-1].end_ms - sentence.end_ms))
        else:
            errors.append((float("inf"), float("inf")))
    return errors
