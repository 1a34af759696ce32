"""Options of a submission, and the three JSON bodies that submit one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from api.http.urls import WebhookUrl
from api.webhooks.schemas import Events
from common.jobs import MOST_TAGS
from common.links import audio_link
from common.options.model_cards import primary_language
from common.options.segmentation import SegmentationName
from common.options.transcription import TranscriptionOptions
from common.summaries import Language as SummaryLanguage
from common.transcript import hotwords

Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$", max_length=32)]
MOST_SPEAKERS = 50
SpeakerCount = Annotated[int, Field(ge=1, le=MOST_SPEAKERS)]


def _switch_or_number(value: Any) -> Any:
    """Return a form's text as the bool or number that it stands for."""
    if isinstance(value, str):
        plain = value.strip().lower()
        if plain in ("true", "false"):
            return plain == "true"
        if re.fullmatch("[0-9]{1,3}", plain):
            return int(plain)
    return value


MaskedWord = Annotated[
    str, StringConstraints(min_length=1, max_length=50, strip_whitespace=True, pattern=r"^[^\x00-\x1f*]+$")
]


def _checked_hotword(value: str) -> str:
    hotwords.parsed(value)
    return value


HotwordEntry = Annotated[
    str, StringConstraints(min_length=2, max_length=70, strip_whitespace=True), AfterValidator(_checked_hotword)
]
Speakers = Annotated[
    StrictBool | Annotated[StrictInt, Field(ge=1, le=MOST_SPEAKERS)], BeforeValidator(_switch_or_number)
]


SummaryChoice = Annotated[
    StrictBool
    | Annotated[str, StringConstraints(strict=True, pattern=r"^(minutes|decisions|todos|tpl_[0-9a-f]{32})$")],
    BeforeValidator(_switch_or_number),
]


class Options(BaseModel):
    """Options of a transcription, independent of the source of the audio."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, description="Id of a model from `GET /v1/models`. Default: the service's default model.", max_length=100
    )
    language: Language | None = Field(
        None,
        description="Language of the recording, e.g. `zh` or `zh-CN`; refused if the model does not recognise it. "
        "Default: decided by the model.",
    )
    channels: Literal["mix", "split", "auto"] = Field(
        "mix",
        description="`split` transcribes each channel separately, for calls recorded on two channels; `auto` does so "
        "if the two channels carry different speakers, and mixes them otherwise.",
    )
    audio_track: str = Field(
        "default",
        description="Audio track of a file that has several: `default` (the track marked as default, otherwise the "
        "first), an index from 0, a language (`zh`, `chi`, `eng`, …), or `all`, which transcribes each "
        "track as a channel.",
        pattern=r"^(default|all|[0-9]{1,2}|[A-Za-z]{2,3}(-[A-Za-z]{2,4})?)$",
        examples=["default", "1", "zh", "all"],
    )
    speakers: Speakers = Field(
        False,
        description="Speaker diarization: `true`, or the exact number of speakers. Only for models with `speakers` in "
        "`GET /v1/models`. Sentences get their speakers when the transcription ends.",
        examples=[True, 3],
    )
    min_speakers: SpeakerCount | None = Field(
        None, description="Minimum number of speakers; requires `speakers: true`."
    )
    max_speakers: SpeakerCount | None = Field(
        None, description="Maximum number of speakers; requires `speakers: true`."
    )
    itn: bool = Field(
        False,
        description="Write numbers, dates, times and amounts in digits: `35.2%` for 百分之三十五点二. Sentences then "
        "have the recognised text as `text_spoken`.",
    )
    remove_fillers: bool = Field(
        False, description="Leave out 嗯, 呃 and stuttered words; in `words` they stay, with `filler`."
    )
    masked_words: list[MaskedWord] = Field(
        default_factory=list,
        max_length=200,
        description="Words that are replaced by asterisks of the same length before anything is stored.",
    )
    hotwords: list[HotwordEntry] = Field(
        default_factory=list,
        max_length=200,
        description="Names and terms of 2 to 30 characters that replace words that sound or are spelled alike and "
        "were recognised with little confidence. `word:weight` with a weight of 1 to 10 (default 5) replaces more or "
        "less readily; `wrong=>right` always replaces `wrong`.",
        examples=[["王晓明", "Kubernetes:8", "吉特哈布=>GitHub"]],
    )
    vocabulary_id: str | None = Field(
        None,
        max_length=64,
        description="A vocabulary (see `/v1/vocabularies`), whose words are added to `hotwords` and `masked_words`. "
        "Where they contradict these, these win. Later changes of the vocabulary do not matter.",
        examples=["voc_0198a3c27d1e7f0a8c5b2d4e6f708192"],
    )
    script: Literal["traditional"] | None = Field(
        None, description="`traditional` converts Chinese text to traditional characters. Default: as recognised."
    )
    segmentation: SegmentationName | None = Field(
        None,
        description="How speech is divided before recognition: FunASR's modes `fixed` and `dynamic`, or the presets "
        "`meeting`, `call` and `lecture`. Default: the model's, see `GET /v1/models`.",
    )
    summary: SummaryChoice = Field(
        False,
        description="Have the transcript summarised when it is there (see `POST …/summary`): `true` (minutes), "
        "`minutes`, `decisions`, `todos`, or the id of a template. Its text is then sent to the language model that "
        "the operator has set; refused if there is none.",
        examples=[True, "todos"],
    )
    summary_language: SummaryLanguage | None = Field(
        None, description="Language of the summary; requires `summary`. Default: that of the transcript."
    )
    priority: int = Field(5, ge=0, le=9, description="9 runs first.")
    tags: list[Tag] = Field(
        default_factory=list, max_length=MOST_TAGS, description="Labels for filtering lists and usage."
    )
    dedupe: bool = Field(
        False,
        description="Reuse an earlier transcript of the same audio with the same model and options, if there is one. "
        "An upload returns the earlier transcription; a link gets a copy of its transcript.",
    )
    webhook_url: WebhookUrl | None = Field(
        None, description="URL that receives a signed POST when the transcription ends."
    )
    webhook_events: Events | None = Field(
        None, description="Events sent to `webhook_url`. Default: how the transcription ended, but no progress."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        least, most = self.min_speakers, self.max_speakers
        if (least or most) and self.speakers is not True:
            raise ValueError("`min_speakers` and `max_speakers` go with `speakers: true`")
        if least and most and least > most:
            raise ValueError("`min_speakers` is larger than `max_speakers`")
        if self.summary_language is not None and not self.summary:
            raise ValueError("`summary_language` goes with `summary`")
        hotwords.check_together(self.hotwords)
        return self

    def transcription_options(self) -> TranscriptionOptions:
        """Return the options that change the result, without the vocabulary."""
        exact = None if isinstance(self.speakers, bool) else self.speakers
        return TranscriptionOptions(
            speakers=bool(self.speakers),
            min_speakers=exact or self.min_speakers,
            max_speakers=exact or self.max_speakers,
            itn=self.itn,
            remove_fillers=self.remove_fillers,
            masked_words=tuple(sorted(set(self.masked_words))),
            script=self.script,
            hotwords=tuple(sorted(set(self.hotwords))),
            segmentation=self.segmentation,
            language=primary_language(self.language) if self.language else None,
        )


class SubmitLink(Options):
    """A transcription of linked audio."""

    audio_url: str = Field(
        max_length=4096,
        description="`http://`, `https://`, `s3://bucket/key` or `oss://bucket/key`.",
        examples=["https://example.com/meeting.mp3"],
    )

    @field_validator("audio_url")
    @classmethod
    def _fetchable(cls, value: str) -> str:
        return audio_link(value)


class SubmitLinks(Options):
    """Up to 100 transcriptions at once, all with the same options."""

    audio_urls: list[Annotated[str, StringConstraints(max_length=4096)]] = Field(
        min_length=1, max_length=100, description="Links as in `audio_url`. A refused link does not affect the others."
    )


class SubmitUpload(Options):
    """A transcription of an upload that is complete (see `/v1/uploads`)."""

    upload_id: str = Field(
        max_length=64, description="Id of a completed upload. Each upload can be used for one transcription."
    )


class SubmitFile(Options):
    """A transcription of a file. For the OpenAPI document: the form itself is streamed (`api.http.multipart`)."""

    file: Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})] = Field(
        description="An audio or video file."
    )
