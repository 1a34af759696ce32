"""Sentences: read them in pages or one by one, and correct them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from api.deps import DatabaseDep, ReadCaller, SubmitAndReadCaller, v1_router
from api.http import problems
from api.http.bodies import StrictBody
from api.http.error_responses import errors_of
from api.http.integers import AS_IN_JSON
from api.transcriptions.routes import JobId
from api.transcriptions.transcript_schemas import EditOut, SentenceOut
from common import errors, jobs
from common.errors import EditConflict
from common.job_states import Status
from common.jobs import Corrected
from common.transcript.formats import edit_object, sentence_object
from common.transcript.sentence_numbers import LAST_NUMBER

router = v1_router("/v1/transcriptions", "transcriptions")
LONGEST = 5_000
LONGEST_RECOGNISED = 20_000
MOST_CORRECTIONS = 5_000


def one_line(content: str, *, if_empty: str) -> str:
    """Join lines: a blank line would end a subtitle early, and in a txt each line is a sentence.

    Raises ValueError, for an empty text with the message `if_empty`.
    """
    joined = " ".join(content.split())
    if not joined:
        raise ValueError(if_empty)
    if re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", joined):
        raise ValueError("contains control characters")
    return joined


CorrectedText = Annotated[
    str,
    StringConstraints(max_length=LONGEST),
    AfterValidator(lambda value: one_line(value, if_empty="is empty; null restores the recognised text")),
]


# As JSON it fits into the size limit of a body.
MOST_CONFIRMED = 4_000
WordPlace = Annotated[int, Field(ge=0, lt=LONGEST_RECOGNISED, strict=True)]


class Correction(StrictBody):
    """A correction of a sentence: a new text, confirmed words, or both."""

    text: CorrectedText | None = Field(
        None,
        description="White space is normalised to single spaces. Null restores the recognised text; without this "
        "field the text stays.",
    )
    confirmed: list[WordPlace] | None = Field(
        None,
        fail_fast=True,
        max_length=MOST_CONFIRMED,
        description="The places, from 0, of recognised words that people have checked, instead of those known so far. "
        "Without this field they stay.",
    )
    revision: int | None = Field(
        None,
        ge=0,
        le=LAST_NUMBER,
        strict=True,
        description="The `edit.revision` that the caller saw, 0 if there was none; if the current revision differs, "
        "the call returns 409 and changes nothing. Default: overwrite.",
    )
    machine_text: str | None = Field(
        None,
        max_length=LONGEST_RECOGNISED,
        description="The recognised text that the caller saw. If the sentence with this number has another by now, for "
        "example because speakers were assigned or a new run began, the call returns 409 and changes nothing.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Correction:
        if "text" not in self.model_fields_set and self.confirmed is None:
            raise ValueError("one of text, confirmed is required")
        return self

    def of(self, number: int) -> jobs.Correction:
        """The correction of a sentence."""
        confirmed = None if self.confirmed is None else tuple(self.confirmed)
        keeps = "text" not in self.model_fields_set
        return jobs.Correction(number, self.text, self.revision, self.machine_text, confirmed, keeps)


class NumberedCorrection(Correction):
    """A correction with the number of its sentence."""

    number: int = Field(ge=0, le=LAST_NUMBER, strict=True, description="Number of the sentence, from 0.")


class Corrections(StrictBody):
    """Corrections that are made together."""

    corrections: list[NumberedCorrection] = Field(
        min_length=1, max_length=MOST_CORRECTIONS, fail_fast=True, description="Each of another sentence."
    )

    @model_validator(mode="after")
    def _once(self) -> Corrections:
        numbers = Counter(item.number for item in self.corrections)
        twice = [number for number, times in numbers.items() if times > 1]
        if twice:
            raise ValueError(f"sentence {twice[0]} is corrected more than once")
        return self


class CorrectedOut(BaseModel):
    """A sentence after its correction."""

    number: int
    text: str
    edit: EditOut | None = Field(description="Null if the sentence was never changed.")


class CorrectedList(BaseModel):
    """The corrected sentences, by number."""

    object: Literal["list"] = "list"
    data: list[CorrectedOut]


class SentencePage(BaseModel):
    """Some sentences of the current run, in their order."""

    object: Literal["list"] = "list"
    status: Status = Field(description="Status of the transcription; more sentences follow while it is `processing`.")
    run: int
    data: list[SentenceOut]
    next: int | None = Field(description="Value of `after` for the next page; null at the current end.")


Number = Annotated[
    int, Path(ge=0, le=LAST_NUMBER, description="Number of the sentence in the transcript, from 0."), AS_IN_JSON
]


@router.get("/{transcription_id}/sentences", response_model=SentencePage, responses=errors_of(errors.Expired))
def list_sentences(
    database: DatabaseDep,
    caller: ReadCaller,
    job_id: JobId,
    after: Annotated[
        int, Query(ge=-1, le=LAST_NUMBER, description="Number of the last sentence that was read."), AS_IN_JSON
    ] = -1,
    limit: Annotated[int, Query(ge=1, le=1000), AS_IN_JSON] = 200,
) -> JSONResponse:
    """A page of sentences as people corrected them, also of a transcription that is still running."""
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=True)
    sentences = jobs.sentences_after(database, job, after, limit=limit + 1, edited_words=False)
    data = [sentence_object(item) for item in sentences[:limit]]
    more = jobs.last_number(sentences[:limit]) if len(sentences) > limit else None
    return JSONResponse({"object": "list", "status": job.status, "run": job.run, "data": data, "next": more})


@router.get("/{transcription_id}/sentences/{number}", response_model=SentenceOut, responses=errors_of(errors.Expired))
def get_sentence(database: DatabaseDep, caller: ReadCaller, job_id: JobId, number: Number) -> JSONResponse:
    """One sentence, as a person corrected it."""
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=True)
    return JSONResponse(sentence_object(jobs.sentence(database, job, number)))


@router.patch(
    "/{transcription_id}/sentences/{number}",
    response_model=SentenceOut,
    responses=errors_of(errors.EditConflict, errors.Expired),
)
def correct_sentence(
    request: Request,
    database: DatabaseDep,
    caller: SubmitAndReadCaller,
    job_id: JobId,
    number: Number,
    body: Correction,
) -> JSONResponse:
    """Correct a sentence, or confirm words of it.

    The machine's text stays beside it, and its words and times stay as they are.

    A conflict shows the sentence as it is.
    """
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=True)
    try:
        jobs.correct_all(database, job, [body.of(number)], key_id=caller.key_id)
    except EditConflict as error:
        return _conflict(request, error)
    return JSONResponse(sentence_object(jobs.sentence(database, job, number)))


@router.post(
    "/{transcription_id}/corrections",
    response_model=CorrectedList,
    responses=errors_of(errors.EditConflict, errors.Expired),
)
def correct_sentences(
    request: Request, database: DatabaseDep, caller: SubmitAndReadCaller, job_id: JobId, body: Corrections
) -> JSONResponse:
    """Correct up to 5,000 sentences at once, for example to replace a word everywhere.

    All are corrected or, after an error, none. A conflict shows the first sentences that have changed as they are.
    """
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=True)
    wanted = [item.of(item.number) for item in body.corrections]
    try:
        changed = jobs.correct_all(database, job, wanted, key_id=caller.key_id)
    except EditConflict as error:
        return _conflict(request, error)
    return JSONResponse({"object": "list", "data": [_corrected_object(item) for item in changed]})


def _conflict(request: Request, error: EditConflict) -> JSONResponse:
    """Return the problem with the sentences as they are, so that the caller need not read them again."""
    current = [_corrected_object(item) for item in error.current]
    return problems.answer(request, error, **({"current": current} if current else {}))


def _corrected_object(item: Corrected) -> dict[str, Any]:
    return {"number": item.number, "text": item.text, "edit": item.edit and edit_object(item.edit)}
