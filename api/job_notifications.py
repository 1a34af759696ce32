"""Who waits for a job is woken when it changes: one LISTEN connection per process, however many wait.

A trigger on `jobs` sends the id with each change of state or progress. A notification is a hint, as everywhere:
who was woken looks into the database, and looks again after a while even if nobody woke it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from common.db import connection_parameters
from common.models import JOB_CHANGES
from common.telemetry import get_logger

log = get_logger(__name__)
RECONNECT_SECONDS = 1.0
# Nobody else would notice that this connection hangs, as nothing is ever sent on it.
PROBE_SECONDS = 15.0
ANSWER_SECONDS = 5.0


class JobNotifications:
    """Wakes the coroutines that wait for jobs. For one event loop."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._waiting: dict[uuid.UUID, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.closing = False

    def start(self) -> None:
        """Begin listening; a database that is away is tried again for ever."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End listening."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def close(self) -> None:
        """Wake everybody for good: the server is about to end."""
        self.closing = True
        self._wake_all()

    @contextmanager
    def of(self, job_id: uuid.UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job may have changed; clear it before looking."""
        event = asyncio.Event()
        self._waiting[job_id].add(event)
        try:
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError) as error:
                log.warning("listen_interrupted", error_type=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, application_name="paraqueue-listen", **connection_parameters()
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.execute(f"LISTEN {JOB_CHANGES}")
            self._wake_all()  # whatever happened while nobody listened
            while True:
                async for notification in connection.notifies(timeout=PROBE_SECONDS):
                    for event in self._waiting.get(uuid.UUID(notification.payload), ()):
                        event.set()
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.execute("SELECT 1")
        finally:
            await connection.close()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()
