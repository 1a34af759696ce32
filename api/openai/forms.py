"""What OpenAI's transcription call takes, and the forms that it answers in. Times are seconds there."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import InvalidRequest
from common.jobs import Job
from common.transcript.formats import as_srt, as_vtt
from common.transcript.values import Sentence, needs_space

# Names that programs have built in; here all of them are the installation's own model.
ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
LANGUAGE = "chinese"
Granularity = Literal["word", "segment"]
ResponseFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
MEDIA_TYPES: dict[str, str] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
LISTS = {"timestamp_granularities", "include"}


class OpenAIOptions(BaseModel):
    """The fields beside `file`. Those that change nothing here are taken, so that no program has to be changed."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(max_length=100)
    response_format: ResponseFormat = "json"
    timestamp_granularities: list[Granularity] = Field(default_factory=list)
    stream: bool = False
    language: str | None = Field(
        None, max_length=32, description="Refused if the model does not recognise it; else the model decides."
    )
    prompt: str | None = Field(None, description="Taken and not used.")
    temperature: float | None = Field(None, ge=0, le=1, description="Taken and not used: there is no chance in it.")

    @property
    def words(self) -> bool:
        """Whether words are to be listed."""
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        """Whether sentences are to be listed."""
        return not self.timestamp_granularities or "segment" in self.timestamp_granularities


def options_of(fields: list[tuple[str, str]]) -> OpenAIOptions:
    """The fields of a form. Lists come as `name[]`, once for each item.

    Raises RequestValidationError, InvalidRequest.
    """
    told: dict[str, Any] = {}
    for name, value in fields:
        plain = name.removesuffix("[]")
        if plain in LISTS:
            told.setdefault(plain, []).append(value)
        else:
            told[plain] = value
    try:
        options = OpenAIOptions.model_validate(told)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None
    if options.timestamp_granularities and options.response_format != "verbose_json":
        raise InvalidRequest("timestamp_granularities requires response_format verbose_json")
    return options


def render(options: OpenAIOptions, job: Job, sentences: Iterable[Sentence]) -> Iterator[str]:
    """A transcript in pieces of text."""
    channels = job.result.channels if job.result else 1
    match options.response_format:
        case "text":
            return _text(sentences)
        case "srt":
            return as_srt(sentences, channels=channels)
        case "vtt":
            return as_vtt(sentences, channels=channels)
        case "verbose_json":
            return _verbose(options, job, sentences)
        case _:
            return _json(job, sentences)


def running_text(sentences: Iterable[Sentence], said: str = "") -> Iterator[str]:
    """The sentences as pieces of one text that goes on behind `said`."""
    for sentence in sentences:
        if needs_space(said, sentence.text):
            yield " "
        yield sentence.text
        said = sentence.text or said


def usage_of(job: Job) -> dict[str, Any]:
    """What the audio came to, in OpenAI's words."""
    return {"type": "duration", "seconds": math.ceil((job.audio_ms or 0) / 1000)}


def _text(sentences: Iterable[Sentence]) -> Iterator[str]:
    yield from running_text(sentences)
    yield "\n"


def _json(job: Job, sentences: Iterable[Sentence]) -> Iterator[str]:
    yield '{"text": "'
    for piece in running_text(sentences):
        yield _dump(piece)[1:-1]
    yield f'", "usage": {_dump(usage_of(job))}}}\n'


def _verbose(options: OpenAIOptions, job: Job, sentences: Iterable[Sentence]) -> Iterator[str]:
    """Segments as they come; words and the text, which is short beside them, are gathered and stand behind."""
    head = {"task": "transcribe", "language": LANGUAGE, "duration": (job.audio_ms or 0) / 1000}
    yield _dump(head)[:-1]
    words: list[str] = []
    text: list[str] = []
    opening = ', "segments": [\n'
    for number, sentence in enumerate(sentences):
        text.extend(running_text([sentence], text[-1] if text else ""))
        if options.words:
            words += [_dump(_word(item.text, item.start_ms, item.end_ms)) for item in sentence.words]
        if options.segments:
            yield opening + _dump(_segment(number, sentence))
            opening = ",\n"
    if options.segments:
        yield "\n]" if opening == ",\n" else ', "segments": []'
    if options.words:
        yield ', "words": [' + ",\n".join(words) + "]"
    yield f', "text": {_dump("".join(text))}, "usage": {_dump(usage_of(job))}}}\n'


def _word(text: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    return {"word": text, "start": start_ms / 1000, "end": end_ms / 1000}


def _segment(number: int, sentence: Sentence) -> dict[str, Any]:
    """A sentence. Whisper's own figures are given where there is something like them here, else as nothing."""
    content = sentence.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": sentence.start_ms / 1000,
        "end": sentence.end_ms / 1000,
        "text": sentence.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(max(sentence.confidence, 1e-6)), 4),
        "compression_ratio": round(len(content) / len(zlib.compress(content)), 4),
        "no_speech_prob": 0.0,
    }


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
