"""A transcription as server-sent events: state, progress, and each part as it is committed."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.responses import StreamingResponse

from api.auth.callers import Caller
from api.deps import ReadCaller, Service, ServiceDep, job_uuid, public_url, v1_router
from api.http.threads import in_thread
from api.transcriptions.follow import follow
from api.transcriptions.job_json import transcription_of
from common import jobs
from common.errors import Expired, Forbidden, NotFound, NotReady, RateLimited, Unauthenticated, Unavailable
from common.job_states import Status
from common.jobs import Job
from common.keys import Scope
from common.transcript.formats import sentence_object, speakers_json
from common.transcript.sentence_numbers import LAST_NUMBER

router = v1_router("/v1/transcriptions", "transcriptions")
# Proxies close silent connections after 30 to 60 seconds.
KEEP_ALIVE_SECONDS = 15.0
RECONNECT_MS = 2000
# With `.s`, the number counts the sentences as they are at the end, with speakers.
POSITION = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})(\.s)?")


@router.get(
    "/{transcription_id}/events",
    response_class=StreamingResponse,
    response_description="Server-sent events.",
    responses={200: {"content": {"text/event-stream": {"schema": {}}}}},
)
async def stream_events(
    request: Request,
    service: ServiceDep,
    caller: ReadCaller,
    job_id: Annotated[uuid.UUID, Depends(job_uuid)],
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> StreamingResponse:
    """Events: `transcription` (the job, after each change), `sentences` (new sentences) and finally `end`.

    With speaker diarization, sentences have no speakers until the transcription ends. Then they are split where the
    speaker changes: an event `speakers` lists the speakers, and all sentences are sent again and replace the earlier
    ones. Continues after `Last-Event-ID`, which browsers send when they reconnect.
    """
    await in_thread(jobs.get, service.database, job_id, tenant=caller.tenant)
    reader = _Reader(service, request, caller, job_id, public_url(request), *_position(last_event_id))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(reader.events(), headers=headers, media_type="text/event-stream")


def _position(last_event_id: str | None) -> tuple[int, int, bool]:
    """Return run and number of the client's last sentence, and whether its sentences have speakers.

    An unknown id starts from the beginning.
    """
    match = POSITION.fullmatch(last_event_id or "")
    if match is None or max(int(match[1]), int(match[2])) > LAST_NUMBER:
        return 0, -1, False
    return int(match[1]), int(match[2]), match[3] is not None


@dataclass
class _Reader:
    """The stream position of one client."""

    service: Service
    request: Request
    caller: Caller
    job_id: uuid.UUID
    base_url: str
    run: int
    reached: int
    attributed: bool
    last_state: str = ""
    checked_at: float = field(default_factory=time.monotonic)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield what is new until the job has ended and everything is sent, or the caller may no longer read."""
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        service, tenant = self.service, self.caller.tenant
        steps = follow(
            service.notifications, service.database, self.job_id, tenant=tenant, every_seconds=KEEP_ALIVE_SECONDS
        )
        async with aclosing(steps):
            async for job in steps:
                if job is None:
                    yield _event("end", {"status": "deleted"})
                    return
                if not await self._may_read():
                    return  # the browser reconnects and receives the 401
                news = False
                async for event in self._new(job):
                    news = True
                    yield event
                if job.terminal:
                    if status := await self._ended_as(job):
                        yield _event("end", {"status": status})
                elif not news:
                    yield b": still here\n\n"

    async def _ended_as(self, job: Job) -> str | None:
        """Return how the stream ends: the job's status, or what happened to its sentences while they were read.

        None if the job was retried; the client reconnects and receives the new run.
        """
        if job.status is not Status.COMPLETED:
            return job.status
        try:
            await in_thread(jobs.check_kept, self.service.database, job)
        except NotFound:
            return "deleted"
        except Expired:
            return "expired"
        except NotReady:
            return None
        return job.status

    async def _may_read(self) -> bool:
        """Return whether the key or session is still valid. A stream lasts for hours and must not outlive it."""
        if time.monotonic() - self.checked_at < KEEP_ALIVE_SECONDS:
            return True
        try:
            now = await self.service.authenticator.caller(self.request)
        except (Unauthenticated, Forbidden):
            return False
        except (RateLimited, Unavailable):
            return True  # unknown for now; checked again with the next event
        self.checked_at = time.monotonic()
        return now.tenant == self.caller.tenant and Scope.READ in now.scopes

    async def _new(self, job: Job) -> AsyncIterator[bytes]:
        if job.run != self.run:
            self.run, self.reached, self.attributed = job.run, -1, False
        estimate = await in_thread(self.service.estimates.of, job)
        state = transcription_of(job, self.base_url, estimate).model_dump_json()
        if state != self.last_state:
            self.last_state = state
            yield _frame("transcription", state)
        if job.status is Status.COMPLETED and job.options.speakers and not self.attributed:
            self.reached, self.attributed = -1, True
            speakers = await in_thread(jobs.speakers, self.service.database, job) or ()
            yield _event("speakers", {"run": self.run, "speakers": speakers_json(speakers)})
        # Read after the job: a terminal state is only reported once its last sentences can be read.
        while sentences := await in_thread(jobs.sentences_after, self.service.database, job, self.reached):
            self.reached = jobs.last_number(sentences)
            data = [sentence_object(sentence) for sentence in sentences]
            place = f"{self.run}.{self.reached}{'.s' if self.attributed else ''}"
            yield _event("sentences", {"run": self.run, "sentences": data}, place)


def _event(name: str, data: object, event_id: str | None = None) -> bytes:
    return _frame(name, json.dumps(data, ensure_ascii=False), event_id)


def _frame(name: str, data: str, event_id: str | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()
