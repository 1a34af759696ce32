"""What a client may ask of a transcription besides audio, model and channels; stored with the job as JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from common.options.segmentation import SegmentationName
from common.transcript.text_rules import TextRules


@dataclass(frozen=True, slots=True)
class WordLists:
    """Words that apply to a job."""

    hotwords: tuple[str, ...]
    masked_words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """Options that change the result. Jobs with equal options may share a transcript.

    speakers: whether to tell speakers apart; min_speakers, max_speakers: what is known of their number, None: nothing.
    itn: numbers in digits; remove_fillers; masked_words: shown as asterisks; script: of the text, None: as recognised;
    hotwords: as `common.transcript.hotwords.parsed` reads them; vocabulary_id, vocabulary_revision: what further words
    came from; segmentation: None is the model's default; language: of the speech, None: the model decides.
    """

    speakers: bool = False
    min_speakers: int | None = None
    max_speakers: int | None = None
    itn: bool = False
    remove_fillers: bool = False
    masked_words: tuple[str, ...] = ()
    script: Literal["traditional"] | None = None
    hotwords: tuple[str, ...] = ()
    vocabulary_id: str | None = None
    vocabulary_revision: int | None = None
    segmentation: SegmentationName | None = None
    language: str | None = None

    @property
    def text_rules(self) -> TextRules:
        """What is done to the recognised text, without the words of a vocabulary."""
        traditional = self.script == "traditional"
        return TextRules(self.itn, self.remove_fillers, self.masked_words, traditional, self.hotwords)

    def stored(self) -> dict[str, Any]:
        """The options that differ from the defaults, as JSON."""
        given = {name: getattr(self, name) for name in NAMES if getattr(self, name) != getattr(NO_OPTIONS, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


NAMES = tuple(field.name for field in fields(TranscriptionOptions))
NO_OPTIONS = TranscriptionOptions()


def options_of(stored: dict[str, Any] | None) -> TranscriptionOptions:
    """The inverse of `stored`; options that this version does not know are ignored."""
    if not stored:
        return NO_OPTIONS
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    return TranscriptionOptions(**{name: value for name, value in given.items() if name in NAMES})
