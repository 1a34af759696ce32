"""Makes `samples/`: a meeting-like recording with its exact reference."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg

from training import speech
from training.text import held_out_sentences, tokens_of

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
_SENTENCES = 40
_SEED = 20_260

_README = """# Samples

`meeting.mp3` is {minutes:.1f} minutes of synthetic Mandarin with English words: {count} sentences spoken by
espeak-ng in {voices} voices, with pauses of 0.3 to 2.5 s and faint noise. Neither the sentences nor the voices were
used to train `models/demo-zh`, and no person's voice is in it. `meeting.json` holds what was said, and when
(milliseconds).

`python -m training samples` makes both files again.
"""


def write_samples(directory: Path = SAMPLES) -> None:
    """Write `meeting.mp3`, `meeting.json` and `README.md` to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    candidates = held_out_sentences(_SENTENCES * 4, _SEED)
    mixed = [s for s in candidates if any(token.isascii() for token in tokens_of(s))][: _SENTENCES // 2]
    chosen = set(mixed) | set([s for s in candidates if s not in mixed][: _SENTENCES - len(mixed)])
    sentences = [s for s in candidates if s in chosen]
    recording = speech.compose(sentences, speech.HELD_OUT_VOICES, seed=_SEED, pause_seconds=(0.3, 2.5))
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch) / "meeting.wav"
        speech.write_wav(wav, recording.samples)
        _to_mp3(wav, directory / "meeting.mp3")
    reference = {
        "audio": "meeting.mp3",
        "duration_ms": recording.duration_ms,
        "sentences": [{"text": s.text, "start_ms": s.start_ms, "end_ms": s.end_ms} for s in recording.sentences],
    }
    (directory / "meeting.json").write_text(json.dumps(reference, ensure_ascii=False, indent=1) + "\n", "utf-8")
    page = _README.format(
        minutes=recording.duration_ms / 60_000, count=len(sentences), voices=len(speech.HELD_OUT_VOICES)
    )
    (directory / "README.md").write_text(page, "utf-8")


def _to_mp3(wav: Path, target: Path) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", "-i", str(wav)]
    command += ["-codec:a", "libmp3lame", "-b:a", "48k", "-map_metadata", "-1", "-fflags", "+bitexact", str(target)]
    subprocess.run(command, check=True)
