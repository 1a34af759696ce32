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
from starlette.concurrency import run_in_threadpool

from api.auth.callers import Caller
from api.deps import ReadCaller, Service, ServiceDep, job_uuid, public_url, v1_router
from api.transcriptions.follow import follow
from api.transcriptions.schemas import transcription_of
from common import jobs
from common.errors import Forbidden, RateLimited, Unauthenticated, Unavailable
from common.jobs import Job
from common.keys import Scope
from common.transcript.formats import sentence_object

router = v1_router("/v1/transcriptions", "transcriptions")
# Proxies close silent connections after 30 to 60 seconds.
KEEP_ALIVE_SECONDS = 15.0
RECONNECT_MS = 2000
POSITION = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})")
# Runs and sentence numbers are 32-bit, and the query looks for the sentence after the last one.
LAST_NUMBER = 2_000_000_000


@router.get(
    "/{transcription_id}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(
    request: Request,
    service: ServiceDep,
    caller: ReadCaller,
    job_id: Annotated[uuid.UUID, Depends(job_uuid)],
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> StreamingResponse:
    """Events `transcription` (the job, whenever it changed), `sentences` (new ones) and, last, `end`.

    Continues behind `Last-Event-ID`, as browsers do by themselves after a broken connection.
    """
    await run_in_threadpool(jobs.get, service.database, job_id, tenant=caller.tenant)
    reader = _Reader(service, request, caller, job_id, public_url(request, service), *_position(last_event_id))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(reader.events(), headers=headers, media_type="text/event-stream")


def _position(last_event_id: str | None) -> tuple[int, int]:
    """Return run and number of the client's last sentence; an id that is not ours starts from the beginning."""
    match = POSITION.fullmatch(last_event_id or "")
    run, number = (int(match[1]), int(match[2])) if match else (0, -1)
    return (run, number) if max(run, number) <= LAST_NUMBER else (0, -1)


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
    told: str = ""
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
                    yield _event("end", {"status": job.status})
                elif not news:
                    yield b": still here\n\n"

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
            self.run, self.reached = job.run, -1
        estimate = await run_in_threadpool(self.service.estimates.of, job)
        state = transcription_of(job, self.base_url, estimate).model_dump_json()
        if state != self.told:
            self.told = state
            yield _frame("transcription", state)
        # Read after the job: a terminal state is only reported once its last sentences can be read.
        while found := await run_in_threadpool(jobs.sentences_after, self.service.database, job, self.reached):
            self.reached += len(found)
            told = [sentence_object(sentence) for sentence in found]
            yield _event("sentences", {"run": self.run, "sentences": told}, f"{self.run}.{self.reached}")


def _event(name: str, data: object, event_id: str | None = None) -> bytes:
    return _frame(name, json.dumps(data, ensure_ascii=False), event_id)


def _frame(name: str, data: str, event_id: str | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()
