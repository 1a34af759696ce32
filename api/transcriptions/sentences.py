"""Single sentences: read by pages, and corrected by people."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.deps import ReadCaller, ServiceDep, SubmitAndReadCaller, v1_router
from api.transcriptions.routes import JobId
from common import jobs
from common.job_states import Status
from common.transcript.formats import sentence_object
from common.transcript.values import Sentence

router = v1_router("/v1/transcriptions", "transcriptions")
# The page behind it must be a number of 32 bits as well.
LAST_NUMBER = 2_000_000_000
LONGEST = 5_000


def _on_one_line(content: str) -> str:
    """A blank line would end a subtitle in its middle, and a line of a txt is a sentence."""
    joined = " ".join(content.split())
    if not joined:
        raise ValueError("is empty; null restores the recognised text")
    if re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", joined):
        raise ValueError("contains control characters")
    return joined


class Correction(BaseModel):
    """What a person puts in the place of a sentence."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(max_length=LONGEST), AfterValidator(_on_one_line)] | None = Field(
        description="White space becomes single spaces. Null: the machine's text again."
    )
    revision: int | None = Field(
        None,
        ge=0,
        le=LAST_NUMBER,
        strict=True,
        description="The `edit.revision` that you saw, 0 where there was none: if it is another by now, the answer is "
        "409 and nothing is changed. Unset: your text wins.",
    )


class WordOut(BaseModel):
    """A Chinese character or an English word, as the machine heard it."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float


class EditOut(BaseModel):
    """What a person made of a sentence."""

    text: str | None = Field(description="Null where a person went back to the machine's text.")
    machine_text: str
    revision: int
    edited_at: datetime
    edited_by: str | None = Field(description="The id of the key.")


class SentenceOut(BaseModel):
    """A sentence. `words` and times are the machine's, also where `text` is a person's."""

    number: int = Field(description="Its place in the transcript, from 0.")
    text: str
    start_ms: int
    end_ms: int
    channel: int
    confidence: float
    words: list[WordOut]
    edit: EditOut | None = Field(None, description="Not there where nobody changed anything.")


class SentencePage(BaseModel):
    """Some sentences of the current run, in their order."""

    object: Literal["list"] = "list"
    status: Status = Field(description="Of the transcription: while it is processing, there will be more.")
    run: int
    data: list[SentenceOut]
    next: int | None = Field(description="Give it as `after` for the next page; null at the (present) end.")


Number = Annotated[int, Path(ge=0, le=LAST_NUMBER, description="The sentence's place in the transcript, from 0.")]


@router.get("/{transcription_id}/sentences", response_model=SentencePage)
def get_sentences(
    service: ServiceDep,
    caller: ReadCaller,
    job_id: JobId,
    after: Annotated[int, Query(ge=-1, le=LAST_NUMBER, description="The number of the last one that you have.")] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> JSONResponse:
    """A page of sentences as people corrected them, also of a transcription that is still running."""
    job = jobs.readable(jobs.get(service.database, job_id, tenant=caller.tenant), partial=True)
    found = jobs.sentences_after(service.database, job, after, limit=limit + 1)
    data = [_shown(after + 1 + place, item) for place, item in enumerate(found[:limit])]
    more = after + limit if len(found) > limit else None
    return JSONResponse({"object": "list", "status": job.status, "run": job.run, "data": data, "next": more})


@router.get("/{transcription_id}/sentences/{number}", response_model=SentenceOut)
def get_sentence(service: ServiceDep, caller: ReadCaller, job_id: JobId, number: Number) -> JSONResponse:
    """One sentence, as a person corrected it."""
    job = jobs.readable(jobs.get(service.database, job_id, tenant=caller.tenant), partial=True)
    return JSONResponse(_shown(number, jobs.sentence(service.database, job, number)))


@router.patch("/{transcription_id}/sentences/{number}", response_model=SentenceOut)
def correct_sentence(
    service: ServiceDep, caller: SubmitAndReadCaller, job_id: JobId, number: Number, asked: Correction
) -> JSONResponse:
    """Correct a sentence. The machine's text stays beside it, and its words and times stay as they are."""
    job = jobs.readable(jobs.get(service.database, job_id, tenant=caller.tenant), partial=True)
    changed = jobs.correct(service.database, job, number, asked.text, seen=asked.revision, key_id=caller.key_id)
    return JSONResponse(_shown(number, changed))


def _shown(number: int, sentence: Sentence) -> dict[str, Any]:
    return {"number": number, **sentence_object(sentence)}
