"""A transcription as server-sent events: state, progress, and each part as it is committed."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.deps import ReadCaller, Service, ServiceDep, job_uuid, public_url
from api.transcriptions.schemas import transcription_of
from common import jobs
from common.errors import NotFound
from common.jobs import Job
from common.transcript.formats import sentence_object

router = APIRouter(prefix="/v1/transcriptions", tags=["transcriptions"])
# Proxies close silent connections after 30 to 60 seconds.
KEEP_ALIVE_SECONDS = 15.0
RECONNECT_MS = 2000


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
    reader = _Reader(service, job_id, public_url(request, service), *_position(last_event_id))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(reader.events(), headers=headers, media_type="text/event-stream")


def _position(last_event_id: str | None) -> tuple[int, int]:
    """Run and number of the last sentence that the client has; an id that is not ours starts anew."""
    run, _, number = (last_event_id or "").partition(".")
    if run.isdecimal() and number.isdecimal():
        return int(run), int(number)
    return 0, -1


@dataclass
class _Reader:
    """Where one client is."""

    service: Service
    job_id: uuid.UUID
    base_url: str
    run: int
    reached: int
    told: str = ""

    async def events(self) -> AsyncIterator[bytes]:
        """Look, tell what is new, wait; until the job has ended and all of it is told."""
        yield f"retry: {RECONNECT_MS}\n\n".encode()
        with self.service.changes.of(self.job_id) as changed:
            while not self.service.changes.closing:
                changed.clear()
                try:
                    job = await run_in_threadpool(jobs.get, self.service.database, self.job_id)
                except NotFound:
                    yield _event("end", {"status": "deleted"})
                    return
                async for event in self._new(job):
                    yield event
                if job.terminal:
                    yield _event("end", {"status": job.status})
                    return
                try:
                    await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"

    async def _new(self, job: Job) -> AsyncIterator[bytes]:
        if job.run != self.run:
            self.run, self.reached = job.run, -1
        estimate = await run_in_threadpool(self.service.outlook.of, job)
        state = transcription_of(job, self.base_url, estimate).model_dump_json()
        if state != self.told:
            self.told = state
            yield _frame("transcription", state)
        # Read after the job was: a terminal state is told only when its last sentences can be read.
        while found := await run_in_threadpool(jobs.sentences_after, self.service.database, job, self.reached):
            self.reached += len(found)
            told = [sentence_object(sentence) for sentence in found]
            yield _event("sentences", {"run": self.run, "sentences": told}, f"{self.run}.{self.reached}")


def _event(name: str, data: object, event_id: str | None = None) -> bytes:
    return _frame(name, json.dumps(data, ensure_ascii=False), event_id)


def _frame(name: str, data: str, event_id: str | None = None) -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()
