"""Change the name and the tags of a transcription."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.deps import DatabaseDep, EstimatesDep, SubmitAndReadCaller, public_url, v1_router
from api.transcriptions.job_json import transcription_of
from api.transcriptions.routes import JobId
from api.transcriptions.schemas import Transcription
from api.transcriptions.sentences import one_line
from api.transcriptions.submitting.options import Tag
from common import jobs
from common.jobs import MOST_TAGS

router = v1_router("/v1/transcriptions", "transcriptions")
LONGEST_NAME = 255

Name = Annotated[
    str,
    StringConstraints(max_length=LONGEST_NAME),
    AfterValidator(lambda value: one_line(value, if_empty="is empty; null restores the recording's name")),
]


class LabelChange(BaseModel):
    """A change of the name or the tags. Fields that are left out change nothing."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(
        None, description="White space becomes single spaces. Null restores the name of the recording."
    )
    tags: list[Tag] | None = Field(None, max_length=MOST_TAGS, description="Replaces all tags; null leaves them.")
    add_tags: list[Tag] = Field(default_factory=list, max_length=MOST_TAGS, description="Tags to add.")
    remove_tags: list[Tag] = Field(default_factory=list, max_length=MOST_TAGS, description="Tags to remove.")


@router.patch("/{transcription_id}")
def update_transcription(
    request: Request,
    database: DatabaseDep,
    estimates: EstimatesDep,
    caller: SubmitAndReadCaller,
    job_id: JobId,
    change: LabelChange,
) -> Transcription:
    """Change the name and the tags of a transcription, in any state. Usage keeps the tags of past runs."""
    job = jobs.relabel(
        database,
        job_id,
        tenant=caller.tenant,
        name=change.name if "name" in change.model_fields_set else ...,
        tags=change.tags,
        add_tags=change.add_tags,
        remove_tags=change.remove_tags,
    )
    return transcription_of(job, public_url(request), estimates.of(job))
