"""Writes the model card of the bundled models from measured numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training import speech
from training.evaluate import Results, table
from training.text import token_list
from training.vocabulary import LETTER_WORDS, SPLIT_WORDS, WHOLE_WORDS

_CARD = """# demo-zh

Three small models in FunASR's directory layout, for running and testing Paraqueue without a download. They understand
one kind of speech: **synthetic Mandarin from espeak-ng with a small vocabulary**.

**For demonstration and tests only.** Real voices give nonsense; use the bundle `paraformer-large-zh` for them.

| directory | FunASR class | task | size |
| --- | --- | --- | ---: |
{sizes}

- Vocabulary: {characters} Chinese characters and {english} English words ({letters} spelled letter by letter,
  {whole} whole, {split} from pieces marked `@@`). Other words are recognised as the nearest of these.
- Features: 80 Kaldi filter banks, 16 kHz, dither 0: the same audio gives the same text every time.
- Weights are stored in half precision and computed in single precision.

## Measured

Character error rate (CER) without punctuation, English in lower case. The sentences were held out from training (same
grammar, separated by a hash), as were the held-out voices. Measured with FunASR's own `AutoModel`.

{table}

{training}

## Training data

Sentences of a grammar of meetings, calls, lectures, broadcasts and daily talk (`training/patterns.py`,
`training/vocabulary.py`), spoken by espeak-ng in {voices} voices at many speeds and pitches:
{voice_names}.
Held out: {held_out}.

A segment has one to four sentences with pauses, 0 to 0.6 s of silence at both ends, levels from -34 to -13 dB, a
spectral tilt, and no noise or white noise, pink noise or hum 12 to 50 dB below the speech.

espeak-ng reports when each word was spoken. The recogniser was trained with these times in addition to the usual
losses, so its timestamps match the words.

## Limitations

- It does not recognise human speech, dialects, overlapping speakers or telephone audio.
- It says nothing about the accuracy of Paraformer; the numbers show how well it knows this grammar and these voices.

## Rebuild

`make demo-model` synthesises, trains, measures and writes this directory, including this page.

## Licence

The weights and this page are licensed like Paraqueue. The speech was synthesised with espeak-ng (GPL-3.0-or-later), no
part of which is included. The network classes are FunASR's (MIT).
"""

_CLASSES = {
    "asr": ("BiCifParaformer", "speech recognition with word times"),
    "vad": ("FsmnVADStreaming", "voice activity detection"),
    "punc": ("CTTransformer", "punctuation"),
}


@dataclass(frozen=True)
class Training:
    """What training itself reports, for the card."""

    hours_of_speech: float
    recogniser_minutes: float
    vad_frame_accuracy: float
    punctuation_f1: float


def write_card(bundle: Path, results: Results, training: Training) -> None:
    """Write `README.md` into the bundle."""
    tokens = token_list()
    english = len(LETTER_WORDS) + len(WHOLE_WORDS) + len(SPLIT_WORDS)
    page = _CARD.format(
        sizes="\n".join(_size_row(bundle, name) for name in _CLASSES),
        characters=sum("\u4e00" <= token <= "\u9fff" for token in tokens),
        english=english,
        letters=len(LETTER_WORDS),
        whole=len(WHOLE_WORDS),
        split=len(SPLIT_WORDS),
        table=table(results),
        training=_training_sentence(training),
        voices=len(speech.TRAINING_VOICES),
        voice_names=", ".join(voice.variant for voice in speech.TRAINING_VOICES),
        held_out=", ".join(voice.variant for voice in speech.HELD_OUT_VOICES),
    )
    fresh = bundle / ".README.md.new"
    fresh.write_text(page, "utf-8")
    fresh.replace(bundle / "README.md")


def _size_row(bundle: Path, name: str) -> str:
    size = sum(file.stat().st_size for file in (bundle / name).iterdir())
    return f"| `{name}/` | {_CLASSES[name][0]} | {_CLASSES[name][1]} | {size / 1e6:.1f} MB |"


def _training_sentence(training: Training) -> str:
    return (
        f"The detector classifies {training.vad_frame_accuracy:.1%} of 10 ms frames correctly (held-out voices,\n"
        f"noise 10 to 50 dB below); punctuation reaches F1 {training.punctuation_f1:.3f} on held-out sentences. The\n"
        f"recogniser was trained for {training.recogniser_minutes:.0f} minutes on two CPU cores, with "
        f"{training.hours_of_speech:.1f} hours of speech."
    )
