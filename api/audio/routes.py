"""The audio of a transcription in a format that browsers play, with range requests."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import Response

from api.audio import serving
from api.deps import DatabaseDep, QueueDep, ReadCaller, StorageDep, job_uuid, v1_router
from common import jobs

router = v1_router("/v1/transcriptions", "transcriptions")


@router.get(
    "/{transcription_id}/audio",
    response_class=Response,
    response_description="The recording.",
    responses=serving.RESPONSES,
)
@router.head("/{transcription_id}/audio", response_class=Response, include_in_schema=False)
def get_audio(
    request: Request,
    database: DatabaseDep,
    storage: StorageDep,
    queue: QueueDep,
    caller: ReadCaller,
    job_id: Annotated[uuid.UUID, Depends(job_uuid)],
) -> Response:
    """The recording, converted to mp3 if browsers cannot play it, which takes a moment the first time.

    With `Accept: application/octet-stream` it has that media type.
    """
    job = jobs.get(database, job_id, tenant=caller.tenant)
    return serving.recording_of(request, database, storage, queue, job, job.stem)
