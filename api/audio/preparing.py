"""The answer of calls whose result is made when somebody asks for it, and their errors."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from celery import Celery
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from api.http.error_responses import errors_of
from common import errors
from common.errors import Expired, NotReady, Unavailable
from common.jobs import Job
from common.queue import Publisher

OF_RECORDINGS = errors_of(errors.AudioNotDecodable, errors.NotReady, errors.Expired, errors.StorageUnavailable)


class Preparing(BaseModel):
    """The result is not ready yet; ask again after `Retry-After` seconds."""

    status: Literal["preparing"] = "preparing"


def preparing(queue: Celery, retry_seconds: int) -> Response:
    """Wake a light worker that makes what was asked for, and return the answer until it has."""
    with suppress(Unavailable):  # the light worker's sweep finds it too
        Publisher(queue).wake_renderers()
    headers = {"Retry-After": str(retry_seconds), "Cache-Control": "no-store"}
    return JSONResponse(Preparing().model_dump(), 202, headers)


def audio_key_of(job: Job) -> str:
    """Return the storage key of a job's recording. Raises NotReady before it is fetched, Expired when it is gone."""
    if job.source.audio_key is not None:
        return job.source.audio_key
    if job.terminal:
        raise Expired("there is no audio of this job any more")
    raise NotReady("the audio is not fetched yet")


def deleted() -> Expired:
    """The error for a recording whose bytes are no longer in storage."""
    return Expired("the audio was deleted at the end of its retention period")
