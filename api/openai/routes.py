"""OpenAI's transcription call: an ordinary job at high priority, and a connection that waits for it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from api.auth.callers import Caller
from api.deps import Service, ServiceDep, SubmitAndReadCaller, public_url, v1_router
from api.http import openai_errors
from api.http.error_responses import CODES, OF_STORING, errors_of
from api.http.threads import in_thread
from api.openai.forms import (
    ALIASES,
    MEDIA_TYPES,
    OpenAIOptions,
    diarized_segment,
    options_of,
    render,
    running_text,
    usage_of,
)
from api.transcriptions.follow import Deadline, follow
from api.transcriptions.submitting.accept import served_now
from api.transcriptions.submitting.checks import applied_to, known_model
from api.transcriptions.submitting.options import Options
from api.transcriptions.submitting.submit import Received, discard, made_of, received
from api.transcriptions.transcripts import in_turns
from common import errors, jobs
from common.errors import Expired, NotFound, Unavailable
from common.job_states import Status
from common.jobs import Job, Submission
from common.keys import DEFAULT_PRIORITY
from common.options.model_cards import primary_language

router = v1_router("/v1/audio", "OpenAI-compatible")
TAG = "openai"
STILL_RUNNING = "still_running"
# How often a waiting request checks that its client is still connected.
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


ERRORS = errors_of(
    *OF_STORING,
    errors.UploadIncomplete,
    errors.AudioEmpty,
    errors.UnknownModel,
    errors.UnsupportedLanguage,
    errors.SpeakersUnsupported,
    errors.QuotaExceeded,
    errors.NotFound,
)
# How the job ended, and that it goes on
ERRORS[400][CODES] += ["canceled"]
ERRORS[422][CODES] += [STILL_RUNNING]
PLAIN = ("text/plain; charset=utf-8", "text/vtt; charset=utf-8")
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript in the requested format; with `stream`, events.",
        "content": {
            kind.partition(";")[0]: {"schema": {"type": "string"} if kind in PLAIN else {}}
            for kind in sorted({*MEDIA_TYPES.values(), "text/event-stream"})
        },
    },
    **ERRORS,
}


@router.post("/transcriptions", response_class=Response, openapi_extra=BODY, responses=ANSWERS)
async def create_openai_transcription(request: Request, service: ServiceDep, caller: SubmitAndReadCaller) -> Response:
    """Same as OpenAI's call of this name. The job continues if the client disconnects; repeating the call finds it.

    If the transcription fails, the error has its code, and the status 400, or 500 if the failure is temporary.
    """
    storage, database = service.storage, service.database
    file = await received(request, storage, caller.limits.max_upload_bytes)
    try:
        options = options_of(file.fields)
        submission = await _submission(service, caller, options, file)
        served = await in_thread(served_now, database, submission.model)
        job, fresh = await in_thread(jobs.find_or_submit, database, submission, served=served)
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
    requested = None if options.model in ALIASES else options.model
    model = await known_model(
        service.database, service.settings.model, requested, options.language or None, speakers=options.speakers
    )
    chosen = Options(
        tags=[TAG],
        speakers=options.speakers,
        itn=options.itn,
        remove_fillers=options.remove_fillers,
        vocabulary_id=options.vocabulary_id or None,
        segmentation=options.segmentation,
    )
    applied = await applied_to(service.database, caller.tenant, chosen)
    submission = made_of(caller, file.audio, model, chosen, applied)
    language = primary_language(options.language) if options.language else None
    return replace(
        submission,
        options=replace(submission.options, language=language),
        priority=_priority(service.settings.openai_priority, caller),
    )


def _priority(configured: int, caller: Caller) -> int:
    """The operator's choice for all calls like this; a key that was put below the usual priority stays there."""
    return min(configured, caller.max_priority) if caller.max_priority < DEFAULT_PRIORITY else configured


async def _ended(request: Request, service: Service, job: Job) -> Job:
    """Return the job when it has ended, the wait is over, the client is gone or the service is about to shut down.

    Raises NotFound if the job was deleted meanwhile.
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


async def _names(service: Service, job: Job) -> dict[int, str | None]:
    speakers = await in_thread(jobs.speakers, service.database, job) or ()
    return {speaker.number: speaker.name for speaker in speakers}


async def _answer(request: Request, service: Service, options: OpenAIOptions, job: Job) -> Response:
    headers = {"X-Paraqueue-Transcription": job.public_id}
    if job.status is Status.COMPLETED:
        named = await _names(service, job)
        blocks = in_turns(render(options, job, jobs.sentences(service.database, job), named), job.tenant)
        return StreamingResponse(blocks, headers=headers, media_type=MEDIA_TYPES[options.response_format])
    status, code, message = _trouble(job)
    # Never retried automatically: that would upload hours of audio again.
    response = openai_errors.answer(request, status, code, message, retryable=False, transcription_id=job.public_id)
    here = f"{public_url(request)}/v1/transcriptions/{job.public_id}"
    response.headers.update(headers | {"Location": here})
    return response


def _trouble(job: Job) -> tuple[int, str, str]:
    """Return status, code and message for a job that has no transcript (yet)."""
    if job.failure is not None:
        return (500 if job.failure.retryable else 400), job.failure.code, job.failure.message
    if job.status is Status.CANCELED:
        return 400, "canceled", f"the transcription {job.public_id} was canceled"
    where = f"GET /v1/transcriptions/{job.public_id}"
    message = f"the transcription goes on as {job.public_id}: see {where}, or send the same file again to go on waiting"
    return 422, STILL_RUNNING, message


async def _events(service: Service, job: Job) -> AsyncIterator[bytes]:
    """Yield the text as it is committed, then all of it. The time limit is for the wait for the next piece of text."""
    last_text, reached, silent_since = "", -1, time.monotonic()
    deadline = Deadline.after(service.settings.openai_wait_seconds)
    text: list[str] = []
    named: Mapping[int, str | None] | None = None
    segments = itertools.count()
    steps = _steps(service, job, deadline)
    async with aclosing(steps):
        async for step in steps:
            if step is None:
                yield _error_event(job, 404, "not_found", f"the transcription {job.public_id} was deleted")
                return
            if step.run != job.run:
                break
            job = step
            # Until the end, sentences have no speakers; then they are cut and numbered anew.
            held_back = job.options.speakers and job.status is not Status.COMPLETED
            while not held_back and (
                sentences := await in_thread(jobs.sentences_after, service.database, job, reached)
            ):
                delta = "".join(running_text(sentences, last_text))
                last_text, reached, silent_since = sentences[-1].text, jobs.last_number(sentences), time.monotonic()
                deadline.at = silent_since + service.settings.openai_wait_seconds
                text.append(delta)
                yield _event({"type": "transcript.text.delta", "delta": delta})
                if job.options.speakers:
                    if named is None:
                        named = await _names(service, job)
                    for sentence in sentences:
                        yield _event(diarized_segment(next(segments), sentence, named))
            if not job.terminal and time.monotonic() - silent_since > KEEP_ALIVE_SECONDS:
                silent_since = time.monotonic()
                yield b": waiting\n\n"
    yield await _last_event(service, job, "".join(text))


async def _last_event(service: Service, job: Job, text: str) -> bytes:
    """Return the event with all of the text, or with the reason why there is no such text."""
    if job.status is not Status.COMPLETED:
        return _error_event(job, *_trouble(job))
    try:
        await in_thread(jobs.check_kept, service.database, job)
    except (NotFound, Expired) as error:
        return _error_event(job, 404, error.code, error.message)
    return _event({"type": "transcript.text.done", "text": text, "usage": usage_of(job)})


def _error_event(job: Job, status: int, code: str, message: str) -> bytes:
    return _event({"error": openai_errors.error_of(status, code, message, transcription_id=job.public_id)})


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
