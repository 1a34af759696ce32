"""How many threads handle requests at the same time, and whose requests they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import anyio.to_thread
from starlette.concurrency import run_in_threadpool

from api.http.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")
# Beside the threads that use the database: for those that read or write storage, hash, parse or render.
OTHER_THREADS = 20
# Beside others, the calls of a tenant may hold places for so many seconds per second, of which bursts are exempt.
CALL_RATE = 0.75
# For calls of no tenant (health, metrics, the console's files), and for renewals.
SPARE_THREADS = 10


@dataclass(frozen=True, slots=True)
class RequestTurns:
    """The turns of an API process: for calls, which use the processor and the database, and for work on storage."""

    calls: Turns
    storage: Turns


@dataclass(frozen=True, slots=True)
class TenantTurns:
    """The turns that a request needs for its threads, and its tenant."""

    turns: RequestTurns
    tenant: str


_of_request: ContextVar[TenantTurns | None] = ContextVar("tenant_turns", default=None)


def request_turns(pool_size: int) -> RequestTurns:
    """Return the turns of an API process with so many database connections.

    One tenant leaves a fifth of the connections to others even when it is alone, because each of its calls may wait
    for a lock. Beside others it has a fifth of them, and not all the time: more calls would hardly be faster, as
    threads share one interpreter lock, but would make those of others slower. Storage mostly waits for a disk or a
    network, so a tenant may do more of it at the same time.
    """
    most = max(2, pool_size - max(1, pool_size // 5))
    calls = Turns(pool_size + OTHER_THREADS // 2, most=most, share=max(1, pool_size // 5), rate=CALL_RATE)
    storage = OTHER_THREADS - OTHER_THREADS // 2
    return RequestTurns(calls, Turns(storage, most=storage - storage // 5, share=max(1, storage // 3)))


def bound_threads(pool_size: int) -> None:
    """Bound this event loop's thread pool by the size of the connection pool. Call it in the event loop.

    With AnyIO's 40 threads, most of them would wait for a connection instead, where a call is refused after 15 seconds
    although the database works, and those waiting would keep threads from calls that need no connection.
    """
    anyio.to_thread.current_default_thread_limiter().total_tokens = pool_size + OTHER_THREADS + SPARE_THREADS


def assign(turns: RequestTurns, tenant: str) -> None:
    """Let the threads of the current request be those of a tenant."""
    _of_request.set(TenantTurns(turns, tenant))


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """Hold a turn of the current request's tenant: wait in the event loop, without a time limit, for one.

    A request whose tenant is not known needs none.
    """
    mine = _of_request.get()
    if mine is None:
        yield
        return
    async with mine.turns.calls.of(mine.tenant):
        yield


async def in_thread_at_once(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in one of the spare threads, without a turn.

    For renewals of leases and locks: they would expire if they had to wait behind the tenant's other calls.
    """
    return await run_in_threadpool(call, *args, **kwargs)


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread, in a turn of the current request's tenant."""
    async with turn():
        return await run_in_threadpool(call, *args, **kwargs)


async def in_storage_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call that works on storage in a thread, in a turn of the current request's tenant for that."""
    mine = _of_request.get()
    if mine is None:
        return await run_in_threadpool(call, *args, **kwargs)
    async with mine.turns.storage.of(mine.tenant):
        return await run_in_threadpool(call, *args, **kwargs)
