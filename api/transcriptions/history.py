"""The history of a sentence: who changed it, when and how."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.deps import DatabaseDep, ReadCaller, v1_router
from api.http.error_responses import errors_of
from api.transcriptions.routes import JobId
from api.transcriptions.sentences import Number
from common import errors, ids, jobs, keys

router = v1_router("/v1/transcriptions", "transcriptions")


class StructureOut(BaseModel):
    """What was split or merged."""

    kind: Literal["split", "split_off", "merged"] = Field(
        description="`split`: the sentence was split; `split_off`: it is the second sentence of a split one; `merged`: "
        "with the sentence after it."
    )
    other: int = Field(description="Number of the other sentence.")
    at_word: int | None = Field(description="With `merged`: the word at which the other began.")
    at_character: int | None = Field(description="With `merged`: the character of the text at which the other began.")


class RevisionOut(BaseModel):
    """A change of a sentence by a person."""

    revision: int = Field(description="From 1.")
    text: str
    text_before: str | None = Field(description="Null if it is no longer kept, and for a sentence that was split off.")
    confirmed: list[int] = Field(description="Places of the confirmed words, from 0.")
    edited_at: datetime
    edited_by: str | None = Field(description="Id of the API key.")
    edited_by_name: str | None = Field(description="Name of the API key.")
    structure: StructureOut | None = Field(description="What was split or merged; null for other changes.")


class History(BaseModel):
    """The changes of a sentence."""

    object: Literal["list"] = "list"
    data: list[RevisionOut]


@router.get("/{transcription_id}/sentences/{number}/history", responses=errors_of(errors.Expired))
def get_sentence_history(database: DatabaseDep, caller: ReadCaller, job_id: JobId, number: Number) -> History:
    """The changes of a sentence, newest first: the last one, and up to 100 texts and 100 confirmations before it."""
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=True)
    revisions = jobs.history(database, job, number)
    names = keys.names_of(database, {item.key_id for item in revisions if item.key_id is not None})
    return History(data=[_shown(item, names.get(item.key_id) if item.key_id else None) for item in revisions])


def _shown(item: jobs.Revision, name: str | None) -> RevisionOut:
    return RevisionOut(
        revision=item.revision,
        text=item.text,
        text_before=item.text_before,
        confirmed=list(item.confirmed),
        edited_at=item.edited_at,
        edited_by=ids.shown(ids.KEY, item.key_id) if item.key_id is not None else None,
        edited_by_name=name,
        structure=StructureOut(**asdict(item.structure)) if item.structure is not None else None,
    )
