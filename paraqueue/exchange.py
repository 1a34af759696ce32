"""Requests without a network: what an operation asks for, and the policy of trying again.

An operation is a generator. It yields what it needs (`Send`, `Pause`, `Call`) and is given the result; a driver
does the work, blocking in `Client`, with await in `AsyncClient`. So every operation is written once.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from paraqueue.errors import ApiError, AuthenticationFailed, ConnectionFailed, NotFound

T = TypeVar("T")
TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
STILL_RUNNING = "idempotency_in_progress"


@dataclass(frozen=True)
class Send:
    """A request to be sent once; its answer is read whole. `timeout` is in seconds, None for the client's own."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class Pause:
    """Seconds to wait."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """Something that blocks, such as reading a file."""

    function: Callable[[], Any]


Effect = Send | Pause | Call
Operation = Generator[Effect, Any, T]


def request(send: Send, *, safe: bool = True) -> Operation[httpx.Response]:
    """Send, and send again after what passes by itself. Raises ApiError, ConnectionFailed.

    Pass `safe=False` for a request that must not happen twice: it is then tried again only if it never arrived.
    """
    for tried in range(1, TRIES + 1):
        try:
            response: httpx.Response = yield send
        except httpx.TransportError as error:
            arrived = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
            if tried == TRIES or (arrived and not safe):
                raise ConnectionFailed(f"the service does not respond: {_told(error)}") from error
            yield Pause(_back_off(tried))
            continue
        if response.is_success:
            return response
        problem = problem_of(response)
        if tried == TRIES or not _passes(response, problem, safe=safe):
            raise problem
        yield Pause(_asked_pause(response) or _back_off(tried))
    raise AssertionError("unreachable")


def idempotent(send: Send) -> Operation[httpx.Response]:
    """A POST that makes something, safe to repeat: the service answers a repeat with the first answer."""
    headers = {**send.headers, "Idempotency-Key": str(uuid.uuid4())}
    keyed = Send(send.method, send.path, send.params, headers, send.json, send.content, send.timeout)
    return (yield from request(keyed))


def problem_of(response: httpx.Response) -> ApiError:
    """The error in an answer."""
    try:
        told = response.json()
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    kind = {401: AuthenticationFailed, 403: AuthenticationFailed, 404: NotFound}.get(response.status_code, ApiError)
    return kind(
        response.status_code,
        str(told.get("code", f"http_{response.status_code}")),
        str(told.get("detail") or told.get("title") or f"the service answered {response.status_code}"),
        retryable=bool(told.get("retryable", response.status_code in RETRIED)),
        request_id=told.get("request_id") or response.headers.get("X-Request-ID"),
    )


def _passes(response: httpx.Response, problem: ApiError, *, safe: bool) -> bool:
    if problem.code == STILL_RUNNING:
        return True
    if response.status_code == 429 or (response.status_code == 503 and problem.retryable):
        pause = _asked_pause(response)
        return pause is None or pause <= LONGEST_PAUSE_SECONDS
    return safe and response.status_code in RETRIED


def _asked_pause(response: httpx.Response) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date."""
    told = response.headers.get("Retry-After")
    if told is None:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        now = parsedate_to_datetime(response.headers["Date"])
        return max(0.0, (parsedate_to_datetime(told) - now).total_seconds())
    except (KeyError, ValueError):
        return None


def _back_off(tried: int) -> float:
    """Doubling, with jitter: clients that failed together must not come back together."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (tried - 1))
    return random.uniform(longest / 2, longest)


def _told(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
