"""Parameters and response formats of OpenAI's transcription call. Times there are in seconds."""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import InvalidRequest
from common.jobs import Job
from common.options.segmentation import SegmentationName
from common.transcript.formats import as_srt, as_vtt
from common.transcript.scripts import language_of
from common.transcript.values import Sentence, needs_space

# Model names that client programs have built in; here they all mean the installation's own model.
DIARIZING = "gpt-4o-transcribe-diarize"
ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", DIARIZING)
# As Whisper names them; another language is named by its code.
LANGUAGE_NAMES = {"zh": "chinese", "en": "english", "yue": "cantonese", "ja": "japanese", "ko": "korean"}
LETTERS = 26
Granularity = Literal["word", "segment"]
ResponseFormat = Literal["json", "text", "srt", "verbose_json", "diarized_json", "vtt"]
MEDIA_TYPES: dict[str, str] = {
    "json": "application/json",
    "verbose_json": "application/json",
    "diarized_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
LISTS = {"timestamp_granularities", "include"}


class OpenAIOptions(BaseModel):
    """The fields besides `file`. Fields without effect are accepted, so that existing clients work unchanged."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(max_length=100)
    response_format: ResponseFormat = "json"
    timestamp_granularities: list[Granularity] = Field(default_factory=list)
    stream: bool = False
    language: str | None = Field(
        None, max_length=32, description="Refused if the model does not recognise it. Default: decided by the model."
    )
    prompt: str | None = Field(None, description="Accepted and ignored.")
    temperature: float | None = Field(
        None, ge=0, le=1, description="Accepted and ignored: recognition is deterministic."
    )
    itn: bool = Field(False, description="An extension: numbers in digits.")
    remove_fillers: bool = Field(False, description="An extension: without 嗯, 呃 and stuttered words.")
    segmentation: SegmentationName | None = Field(
        None, description="An extension: how speech is divided before recognition. Default: the model's."
    )
    known_voices: bool = Field(True, description="An extension: whether speakers may be compared with known voices.")
    vocabulary_id: str | None = Field(
        None, max_length=64, description="An extension: a vocabulary with hotwords and masked words."
    )

    @property
    def speakers(self) -> bool:
        """Whether speaker diarization is requested."""
        return self.response_format == "diarized_json"

    @property
    def words(self) -> bool:
        """Whether to list words."""
        return "word" in self.timestamp_granularities

    @property
    def segments(self) -> bool:
        """Whether to list sentences."""
        return not self.timestamp_granularities or "segment" in self.timestamp_granularities


def options_of(fields: list[tuple[str, str]]) -> OpenAIOptions:
    """Parse the fields of a form. Lists arrive as `name[]`, once per item.

    Raises RequestValidationError, InvalidRequest.
    """
    values: dict[str, Any] = {}
    for name, value in fields:
        plain = name.removesuffix("[]")
        if plain in LISTS:
            values.setdefault(plain, []).append(value)
        else:
            values[plain] = value
    try:
        options = OpenAIOptions.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None
    if options.timestamp_granularities and options.response_format != "verbose_json":
        raise InvalidRequest("timestamp_granularities requires response_format verbose_json")
    return options


def render(
    options: OpenAIOptions, job: Job, sentences: Iterable[Sentence], named: Mapping[int, str | None]
) -> Iterator[str]:
    """Yield a transcript in pieces of text; `named` has the names of speakers by number."""
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
        case "diarized_json":
            return _diarized(job, sentences, named)
        case _:
            return _json(job, sentences)


def running_text(sentences: Iterable[Sentence], previous: str = "") -> Iterator[str]:
    """Yield the sentences as pieces of one text that continues after `previous`."""
    for sentence in sentences:
        if needs_space(previous, sentence.text):
            yield " "
        yield sentence.text
        previous = sentence.text or previous


def usage_of(job: Job) -> dict[str, Any]:
    """Return the usage for the audio in OpenAI's format."""
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
    """Yield segments as they are read, then the collected words and text, which are small in comparison."""
    yield _dump({"task": "transcribe", "duration": (job.audio_ms or 0) / 1000})[:-1]
    words: list[str] = []
    text: list[str] = []
    heard = Counter[str]()
    opening = ', "segments": [\n'
    for number, sentence in enumerate(sentences):
        text.extend(running_text([sentence], text[-1] if text else ""))
        if sentence.tags is not None and sentence.tags.language is not None:
            heard[sentence.tags.language] += sentence.end_ms - sentence.start_ms
        if options.words:
            words += [_dump(_word(item.text, item.start_ms, item.end_ms)) for item in sentence.words]
        if options.segments:
            yield opening + _dump(_segment(number, sentence))
            opening = ",\n"
    if options.segments:
        yield "\n]" if opening == ",\n" else ', "segments": []'
    if options.words:
        yield ', "words": [' + ",\n".join(words) + "]"
    language = _language(job, heard, text)
    yield f', "language": {_dump(language)}, "text": {_dump("".join(text))}, "usage": {_dump(usage_of(job))}}}\n'


def _language(job: Job, heard: Counter[str], text: Sequence[str]) -> str:
    """Return the name of the language that was asked for or, by time, heard most; else of that of the text."""
    code = job.options.language or next((language for language, _ in heard.most_common(1)), None)
    if code is None:
        code = language_of("".join(text)) if text else "zh"
    return LANGUAGE_NAMES.get(code, code)


def _diarized(job: Job, sentences: Iterable[Sentence], named: Mapping[int, str | None]) -> Iterator[str]:
    """Yield segments with their speakers as they are read, then the text."""
    yield _dump({"task": "transcribe", "duration": (job.audio_ms or 0) / 1000})[:-1] + ', "segments": ['
    text: list[str] = []
    for number, sentence in enumerate(sentences):
        text.extend(running_text([sentence], text[-1] if text else ""))
        yield (",\n" if number else "\n") + _dump(diarized_segment(number, sentence, named))
    yield f'], "text": {_dump("".join(text))}, "usage": {_dump(usage_of(job))}}}\n'


def diarized_segment(number: int, sentence: Sentence, named: Mapping[int, str | None]) -> dict[str, Any]:
    """Return a sentence as a segment of diarized_json; speakers without a name are called A, B, … as by OpenAI."""
    speaker = sentence.speaker or 1
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{number}",
        "start": sentence.start_ms / 1000,
        "end": sentence.end_ms / 1000,
        "text": sentence.text,
        "speaker": named.get(speaker) or (chr(ord("A") + speaker - 1) if speaker <= LETTERS else f"S{speaker}"),
    }


def _word(text: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    return {"word": text, "start": start_ms / 1000, "end": end_ms / 1000}


def _segment(number: int, sentence: Sentence) -> dict[str, Any]:
    """Return a sentence as a segment. Whisper's own metrics are approximated if possible, and empty or zero if not."""
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
