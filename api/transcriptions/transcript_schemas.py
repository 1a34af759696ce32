"""Transcripts as the API shows them. They are streamed from the rows of sentences (`common.transcript.formats`)."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from api.transcriptions.schemas import WarningOut


class WordOut(BaseModel):
    """A Chinese character or an English word, as the machine heard it."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float = Field(description="0 to 1.")
    filler: bool = Field(False, description="Whether the sentence's text leaves it out; absent if not.")
    replaced_from: str | None = Field(
        None, description="What was recognised where a hotword replaced it; absent where none did."
    )
    confirmed: bool = Field(
        False, description="Whether a person has checked the word; its confidence is then 1. Absent if not."
    )
    speaker: int | None = Field(None, description="The number of its speaker; not there without speakers.")


class EditOut(BaseModel):
    """The correction of a sentence by a person."""

    text: str | None = Field(description="Null if the recognised text was restored, or only words were confirmed.")
    machine_text: str
    revision: int
    edited_at: datetime
    edited_by: str | None = Field(description="Id of the API key.")


class SentenceOut(BaseModel):
    """A sentence. `words` and times are the machine's, also where `text` is a person's."""

    number: int = Field(
        description="Number of the sentence, its id, from 0. It never changes; a sentence that was split off has one "
        "of 1,000,000,000 or more. The order of sentences is that of the list."
    )
    text: str
    start_ms: int
    end_ms: int
    channel: int = Field(description="From 0.")
    confidence: float = Field(description="0 to 1.")
    words: list[WordOut]
    text_spoken: str | None = Field(
        None, description="The recognised text; absent unless `itn` or another option changed it."
    )
    speaker: int | None = Field(None, description="Absent without speakers, and before the transcription has ended.")
    language: str | None = Field(
        None, description="What the model heard, e.g. `yue`; null if it could not tell, absent if it does not say."
    )
    emotion: str | None = Field(
        None,
        description="`happy`, `sad`, `angry`, `neutral`, `fearful`, `disgusted` or `surprised`; null and absent like "
        "`language`.",
    )
    events: list[str] | None = Field(
        None,
        description="Sounds beside the words: `bgm`, `applause`, `laughter`, `cry`, `sneeze`, `breath`, `cough`, "
        "`sing`, `speech_noise`; absent if the model does not say.",
    )
    edit: EditOut | None = Field(None, description="Absent if the sentence was never changed.")


class SpeakerOut(BaseModel):
    """Somebody who speaks in the recording."""

    number: int = Field(description="From 1, in the order in which they begin to speak.")
    name: str | None
    speech_ms: int = Field(description="The length of their sentences.")
    share: float = Field(description="Of the length of all sentences, 0 to 1.")


class TranscriptOut(BaseModel):
    """A transcript: what it was made with, its sentences, and the full text."""

    id: str
    partial: bool = Field(description="Whether the transcription has not completed, so that text may be missing.")
    model: str
    model_revision: str
    precision: str
    segmentation: str | None = Field(description="How speech was divided; null until the transcription has completed.")
    audio_ms: int
    processing_ms: int
    rtf: float | None = Field(description="Processing time divided by audio duration.")
    channels: int
    no_speech: bool = Field(description="True if no speech was found; the transcript is then empty.")
    warnings: list[WarningOut]
    speakers: list[SpeakerOut] | None = Field(description="Null without speaker diarization.")
    sentences: list[SentenceOut]
    text: str = Field(description="The text of all sentences.")
