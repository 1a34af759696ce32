"""Loudness of a transcription's recording over time, for drawing a waveform."""

from __future__ import annotations

import uuid
from typing import Annotated

from celery import Celery
from fastapi import Depends, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api.audio.preparing import OF_RECORDINGS, Preparing, audio_key_of, deleted, preparing
from api.deps import DatabaseDep, QueueDep, ReadCaller, StorageDep, job_uuid, v1_router
from api.http.error_responses import Responses
from api.http.integers import AS_IN_JSON
from common import jobs, renditions
from common.db import Database
from common.errors import AudioNotDecodable, SourceNotFound
from common.jobs import Job
from common.storage import Storage
from common.transcript.peaks import MOST, RATE, Peaks

router = v1_router("/v1/transcriptions", "transcriptions")
RETRY_SECONDS = 1
RESPONSES: Responses = {
    202: {"model": Preparing, "description": "The peaks are being computed; repeat the request."},
    **OF_RECORDINGS,
}
Points = Annotated[int, Query(ge=1, le=MOST, description="Maximum number of pairs."), AS_IN_JSON]


class PeaksOut(BaseModel):
    """The names are those of audiowaveform's JSON; `bits` is 8 and `channels` 1."""

    version: int = 2
    channels: int = 1
    sample_rate: int
    samples_per_pixel: int = Field(description="Samples per pair.")
    bits: int = 8
    length: int = Field(description="Number of pairs.")
    duration_ms: int
    data: list[int] = Field(description="Minimum and maximum sample of each stretch, alternating, from -128 to 127.")


@router.get(
    "/{transcription_id}/peaks",
    response_model=PeaksOut,
    responses=RESPONSES,
)
def get_peaks(
    database: DatabaseDep,
    queue: QueueDep,
    storage: StorageDep,
    caller: ReadCaller,
    job_id: Annotated[uuid.UUID, Depends(job_uuid)],
    points: Points = 2000,
) -> Response:
    """The waveform of the recording, all channels mixed. Computing it takes a moment the first time."""
    return waveform_of(database, queue, storage, jobs.get(database, job_id, tenant=caller.tenant), points)


def waveform_of(database: Database, queue: Celery, storage: Storage, job: Job, points: int) -> Response:
    """Return the waveform of a job's recording in at most so many pairs.

    Raises Expired, NotReady, AudioNotDecodable.
    """
    made = renditions.ask(database, job.id, audio_key_of(job), renditions.Kind.PEAKS)
    if made.status == renditions.FAILED:
        raise AudioNotDecodable(made.error_message or "the audio cannot be read")
    if made.key is None:
        return preparing(queue, RETRY_SECONDS)
    try:
        content = b"".join(storage.read(made.key, 0, storage.size(made.key)))
    except SourceNotFound:
        raise deleted() from None
    return JSONResponse(_drawn(Peaks.load(content), points), headers={"Cache-Control": "private, max-age=3600"})


def _drawn(peaks: Peaks, points: int) -> dict[str, object]:
    width, data = peaks.drawn(points)
    return PeaksOut(
        sample_rate=RATE, samples_per_pixel=width, length=len(data) // 2, duration_ms=peaks.duration_ms, data=data
    ).model_dump()
