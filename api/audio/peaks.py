"""How loud a transcription's recording is at each moment, for drawing it."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api.deps import ReadCaller, ServiceDep, job_uuid, v1_router
from common import jobs, renditions
from common.errors import AudioNotDecodable, Expired, NotReady, SourceNotFound, Unavailable
from common.jobs import Job
from common.queue import Publisher
from common.transcript.peaks import MOST, RATE, Peaks

router = v1_router("/v1/transcriptions", "transcriptions")
PREPARING_SECONDS = "1"


class PeaksOut(BaseModel):
    """The names are those of audiowaveform's JSON; `bits` is 8 and `channels` 1."""

    version: int = 2
    channels: int = 1
    sample_rate: int
    samples_per_pixel: int = Field(description="How many samples a pair stands for.")
    bits: int = 8
    length: int = Field(description="How many pairs there are.")
    duration_ms: int
    data: list[int] = Field(description="The lowest and the highest sample of each stretch in turn, -128 to 127.")


@router.get(
    "/{transcription_id}/peaks",
    response_model=PeaksOut,
    responses={202: {"description": "They are being made. Ask again."}},
)
def get_peaks(
    service: ServiceDep,
    caller: ReadCaller,
    job_id: Annotated[uuid.UUID, Depends(job_uuid)],
    points: Annotated[int, Query(ge=1, le=MOST, description="So many pairs at most.")] = 2000,
) -> Response:
    """How loud the recording is at each moment; all channels mixed. The first time that takes a moment."""
    job = jobs.get(service.database, job_id, tenant=caller.tenant)
    key = job.source.audio_key
    if key is None:
        raise _missing(job)
    made = renditions.ask(service.database, job.id, key, renditions.Kind.PEAKS)
    if made.status == renditions.FAILED:
        raise AudioNotDecodable(made.error_message or "the audio cannot be read")
    if made.key is None:
        with suppress(Unavailable):  # the sweep of the light worker looks too
            Publisher(service.queue).wake_renderers()
        headers = {"Retry-After": PREPARING_SECONDS, "Cache-Control": "no-store"}
        return JSONResponse({"status": "preparing"}, 202, headers)
    try:
        content = b"".join(service.storage.read(made.key, 0, service.storage.size(made.key)))
    except SourceNotFound:
        raise Expired("the audio was deleted at the end of its retention period") from None
    return JSONResponse(_drawn(Peaks.load(content), points), headers={"Cache-Control": "private, max-age=3600"})


def _missing(job: Job) -> Exception:
    if job.terminal:
        return Expired("there is no audio of this job any more")
    return NotReady("the audio is not fetched yet")


def _drawn(peaks: Peaks, points: int) -> dict[str, object]:
    width, data = peaks.drawn(points)
    return PeaksOut(
        sample_rate=RATE, samples_per_pixel=width, length=len(data) // 2, duration_ms=peaks.duration_ms, data=data
    ).model_dump()
