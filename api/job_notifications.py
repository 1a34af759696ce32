"""Wake requests that wait for a job when it changes: one LISTEN connection per process, for any number of waiters.

A trigger on `jobs` sends the id with each change of state or progress. As everywhere, a notification is only a hint:
waiters read the database when they wake, and also poll it in case no notification arrives.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from common.db import connection_parameters, shares_sessions
from common.models import JOB_CHANGES
from common.telemetry import get_logger

log = get_logger(__name__)
RECONNECT_SECONDS = 1.0
# Nothing is ever sent on this connection, so a hang would otherwise go unnoticed.
PROBE_SECONDS = 15.0
ANSWER_SECONDS = 5.0


class JobNotifications:
    """Wakes the coroutines that wait for jobs. For use on one event loop."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._waiting: dict[uuid.UUID, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.closing = False

    def start(self) -> None:
        """Start listening; reconnect without limit if the database is down."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop listening."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def close(self) -> None:
        """Wake all waiters for good: the server is about to shut down."""
        self.closing = True
        self._wake_all()

    @contextmanager
    def of(self, job_id: uuid.UUID) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the job may have changed; clear it before reading the job."""
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
        if await asyncio.to_thread(shares_sessions, self._conninfo):
            # Not fatal: waiting requests also poll.
            log.error(
                "notifications_lost",
                reason="a pooler shares sessions between connections, like PgBouncer in transaction mode",
                hint="set PARAQUEUE_DATABASE_DIRECT_URL",
            )
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, application_name="paraqueue-listen", **connection_parameters()
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await connection.execute(f"LISTEN {JOB_CHANGES}")
            self._wake_all()  # for changes that were missed while not listening
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
