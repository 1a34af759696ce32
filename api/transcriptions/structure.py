"""Sentences split and merged by people."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, model_validator

from api.deps import DatabaseDep, SubmitAndReadCaller, v1_router
from api.http.bodies import StrictBody
from api.http.error_responses import errors_of
from api.transcriptions.routes import JobId
from api.transcriptions.sentences import LONGEST_RECOGNISED, Number
from api.transcriptions.transcript_schemas import SentenceOut
from common import errors, jobs
from common.transcript.formats import sentence_object
from common.transcript.sentence_numbers import LAST_NUMBER

router = v1_router("/v1/transcriptions", "transcriptions")
OF_CHANGES = errors_of(errors.EditConflict, errors.NotReady, errors.NoTranscript, errors.Expired)

SeenRevision = Annotated[int | None, Field(ge=0, le=LAST_NUMBER, strict=True)]
SeenText = Annotated[str | None, Field(max_length=LONGEST_RECOGNISED)]
Place = Annotated[int | None, Field(ge=1, lt=LONGEST_RECOGNISED, strict=True)]


class SentenceSplit(StrictBody):
    """Where a sentence is split, and what the caller has seen of it."""

    at_word: Place = Field(
        None, description="The word of `words`, from 0, that begins the second sentence. Default: from `at_character`."
    )
    at_character: Place = Field(
        None,
        description="The character (Unicode code point) of `text`, from 0, that begins the second sentence; alone, it "
        "is moved to the nearest boundary of words. Default: from `at_word`.",
    )
    revision: SeenRevision = Field(
        None, description="The `edit.revision` that the caller saw, 0 if there was none; see corrections."
    )
    machine_text: SeenText = Field(None, description="The recognised text that the caller saw; see corrections.")

    @model_validator(mode="after")
    def _says_where(self) -> SentenceSplit:
        if self.at_word is None and self.at_character is None:
            raise ValueError("one of at_word, at_character is required")
        return self


class SentenceMerge(StrictBody):
    """What the caller has seen of a sentence and the one after it."""

    next: int | None = Field(
        None, ge=0, le=LAST_NUMBER, strict=True, description="Number of the second sentence that the caller saw."
    )
    revision: SeenRevision = Field(None, description="The `edit.revision` of the first sentence, 0 if there was none.")
    machine_text: SeenText = Field(None, description="The recognised text of the first sentence.")
    next_revision: SeenRevision = Field(None, description="The `edit.revision` of the second, 0 if there was none.")
    next_machine_text: SeenText = Field(None, description="The recognised text of the second sentence.")


class Restructured(BaseModel):
    """The sentences that a split or merge made, in order, and the number of one that is gone."""

    object: Literal["list"] = "list"
    data: list[SentenceOut]
    removed: list[int] = Field(description="Numbers that name no sentence any more.")


@router.post("/{transcription_id}/sentences/{number}/split", response_model=Restructured, responses=OF_CHANGES)
def split_sentence(
    database: DatabaseDep, caller: SubmitAndReadCaller, job_id: JobId, number: Number, body: SentenceSplit
) -> JSONResponse:
    """Split a sentence of a completed transcription before a word.

    The first sentence keeps its number. Times follow from the words; what the machine recognised is kept.
    """
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=False)
    both = jobs.split(
        database,
        job,
        number,
        at_word=body.at_word,
        at_character=body.at_character,
        seen=jobs.Seen(body.revision, body.machine_text),
        key_id=caller.key_id,
    )
    return JSONResponse({"object": "list", "data": [sentence_object(item) for item in both], "removed": []})


@router.post("/{transcription_id}/sentences/{number}/merge", response_model=Restructured, responses=OF_CHANGES)
def merge_sentences(
    database: DatabaseDep, caller: SubmitAndReadCaller, job_id: JobId, number: Number, body: SentenceMerge
) -> JSONResponse:
    """Merge a sentence of a completed transcription with the one after it, of the same channel.

    The sentence keeps its number and speaker, and the words keep their speakers.
    """
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=False)
    merged, gone = jobs.merge(
        database,
        job,
        number,
        following=body.next,
        seen=jobs.Seen(body.revision, body.machine_text),
        following_seen=jobs.Seen(body.next_revision, body.next_machine_text),
        key_id=caller.key_id,
    )
    return JSONResponse({"object": "list", "data": [sentence_object(merged)], "removed": [gone]})
