"""OpenAI's transcription call: an ordinary job at high priority, and a connection that waits for it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.auth.callers import Caller
from api.deps import Service, ServiceDep, SubmitAndReadCaller, public_url, v1_router
from api.http import openai_errors
from api.openai.forms import ALIASES, MEDIA_TYPES, OpenAIOptions, options_of, render, running_text, usage_of
from api.transcriptions.accept import served_revisions
from api.transcriptions.follow import Deadline, follow
from api.transcriptions.schemas import Options
from api.transcriptions.submit import Received, discard, known_model, made_of, received
from api.transcriptions.transcripts import in_blocks
from common import jobs
from common.errors import NotFound, Unavailable
from common.job_states import Status
from common.jobs import Job, Submission

router = v1_router("/v1/audio", "OpenAI-compatible")
TAG = "openai"
STILL_RUNNING = "still_running"
# How often a waiting request looks whether its client is still there.
LOOK_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 15.0
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "model"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        **{
                            "timestamp_granularities[]" if name == "timestamp_granularities" else name: shape
                            for name, shape in OpenAIOptions.model_json_schema()["properties"].items()
                        },
                    },
                }
            }
        },
    }
}


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript, in the form that was asked for; with `stream`, events.",
        "content": {kind: {} for kind in sorted({*MEDIA_TYPES.values(), "text/event-stream"})},
    },
    **openai_errors.RESPONSES,
}


@router.post("/transcriptions", response_class=Response, openapi_extra=BODY, responses=ANSWERS)
async def transcribe(request: Request, service: ServiceDep, caller: SubmitAndReadCaller) -> Response:
    """As OpenAI's call of the same name. The job goes on also if the client goes away; a repeat finds it."""
    storage, database = service.storage, service.database
    file = await received(request, storage, caller.limits.max_upload_bytes)
    try:
        options = options_of(file.fields)
        submission = await _submission(service, caller, options, file)
        revisions = await run_in_threadpool(served_revisions, database, submission.model)
        job, fresh = await run_in_threadpool(jobs.find_or_submit, database, submission, revisions=revisions)
    except Unavailable:
        raise  # the commit may have succeeded: if not, the sweep finds the file
    except BaseException:
        await discard(storage, file)
        raise
    if fresh:
        service.dispatcher.wake()
    else:
        await discard(storage, file)
    if options.stream:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Paraqueue-Transcription": job.public_id}
        return StreamingResponse(_events(service, job), headers=headers, media_type="text/event-stream")
    return await _answer(request, service, options, await _ended(request, service, job))


async def _submission(service: Service, caller: Caller, options: OpenAIOptions, file: Received) -> Submission:
    asked = None if options.model in ALIASES else options.model
    model = await known_model(service.database, service.settings.model, asked, options.language or None)
    return made_of(caller, file.audio, model, Options(priority=service.settings.openai_priority, tags=[TAG]))


async def _ended(request: Request, service: Service, job: Job) -> Job:
    """The job when it has ended, or as it is when the wait is over, the client gone or the service about to end.

    Raises NotFound where somebody deleted it meanwhile.
    """
    deadline = Deadline.after(service.settings.openai_wait_seconds)
    steps = _steps(service, job, deadline)
    async with aclosing(steps):
        async for step in steps:
            if step is None:
                raise NotFound(f"the transcription {job.public_id} was deleted")
            job = step
            if await request.is_disconnected():
                break
    return job


def _steps(service: Service, job: Job, deadline: Deadline) -> AsyncGenerator[Job | None]:
    return follow(
        service.notifications,
        service.database,
        job.id,
        tenant=job.tenant,
        every_seconds=LOOK_SECONDS,
        deadline=deadline,
    )


async def _answer(request: Request, service: Service, options: OpenAIOptions, job: Job) -> Response:
    headers = {"X-Paraqueue-Transcription": job.public_id}
    if job.status is Status.COMPLETED:
        pieces = render(options, job, jobs.sentences(service.database, job))
        return StreamingResponse(in_blocks(pieces), headers=headers, media_type=MEDIA_TYPES[options.response_format])
    status, code, message = _trouble(job)
    # Never to be tried again by itself: a repeat sends hours of audio once more.
    response = openai_errors.answer(request, status, code, message, retryable=False, transcription_id=job.public_id)
    here = f"{public_url(request, service)}/v1/transcriptions/{job.public_id}"
    response.headers.update(headers | {"Location": here})
    return response


def _trouble(job: Job) -> tuple[int, str, str]:
    """Status, code and words for a job that has no transcript (yet)."""
    if job.failure is not None:
        return (500 if job.failure.retryable else 400), job.failure.code, job.failure.message
    if job.status is Status.CANCELED:
        return 400, "canceled", f"the transcription {job.public_id} was canceled"
    where = f"GET /v1/transcriptions/{job.public_id}"
    message = f"the transcription goes on as {job.public_id}: see {where}, or send the same file again to go on waiting"
    return 422, STILL_RUNNING, message


async def _events(service: Service, job: Job) -> AsyncIterator[bytes]:
    """The text as it is committed, then the whole of it. The limit is one of the wait for the next piece of text."""
    said, reached, silent_since = "", -1, time.monotonic()
    deadline = Deadline.after(service.settings.openai_wait_seconds)
    text: list[str] = []
    steps = _steps(service, job, deadline)
    async with aclosing(steps):
        async for step in steps:
            if step is None:
                yield _error_event(job, 404, "not_found", f"the transcription {job.public_id} was deleted")
                return
            if step.run != job.run:
                break
            job = step
            while found := await run_in_threadpool(jobs.sentences_after, service.database, job, reached):
                delta = "".join(running_text(found, said))
                said, reached, silent_since = found[-1].text, reached + len(found), time.monotonic()
                deadline.at = silent_since + service.settings.openai_wait_seconds
                text.append(delta)
                yield _event({"type": "transcript.text.delta", "delta": delta})
            if not job.terminal and time.monotonic() - silent_since > KEEP_ALIVE_SECONDS:
                silent_since = time.monotonic()
                yield b": waiting\n\n"
    if job.status is Status.COMPLETED:
        yield _event({"type": "transcript.text.done", "text": "".join(text), "usage": usage_of(job)})
        return
    yield _error_event(job, *_trouble(job))


def _error_event(job: Job, status: int, code: str, message: str) -> bytes:
    return _event({"error": openai_errors.error_of(status, code, message, transcription_id=job.public_id)})


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
