"""Operations without I/O: the requests that an operation yields, and the retry policy.

An operation is a generator. It yields what it needs (`Send`, `Tries`, `Pause`, `Call`) and receives the result; a
driver does the work, blocking in `Client`, with await in `AsyncClient`. So every operation is written once.

httpx and pydantic are imported where they are used, so that the command shows its help without them.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from paraqueue.errors import ApiError, AuthenticationFailed, ConnectionFailed, NotFound

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
MAX_RETRIES = 5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
REACH_SECONDS = 10.0
STILL_RUNNING = "idempotency_key_in_use"


@dataclass(frozen=True)
class Send:
    """A request to send once; its response is read completely. `timeout` in seconds, None for the client's default."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    timeout: float | None = None


@dataclass(frozen=True)
class Tries:
    """A question to the client: how often a request may be sent."""


@dataclass(frozen=True)
class Pause:
    """A wait, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """A blocking call, such as reading a file."""

    function: Callable[[], Any]


Effect = Send | Tries | Pause | Call
Operation = Generator[Effect, Any, T]


def request(send: Send, *, safe: bool = True) -> Operation[httpx.Response]:
    """Send a request, and retry after transient errors. Raises ApiError, ConnectionFailed.

    Pass `safe=False` for a request that must not be executed twice: it is then retried only if it never arrived.
    """
    import httpx

    tries: int = yield Tries()
    for tried in range(1, tries + 1):
        try:
            response: httpx.Response = yield send
        except httpx.TransportError as error:
            arrived = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
            if tried >= tries or (arrived and not safe):
                raise ConnectionFailed(f"the service does not respond: {_told(error)}") from error
            yield Pause(_back_off(tried))
            continue
        if response.is_success:
            return response
        problem = problem_of(response)
        if tried >= tries or not _passes(response, problem, safe=safe):
            raise problem
        yield Pause(asked_pause(response) or _back_off(tried))
    raise AssertionError("unreachable")


def reach() -> Operation[None]:
    """Find out, at once and without retries, whether the service responds at all. Raises ConnectionFailed."""
    import httpx

    try:
        yield Send("GET", "/health/live", timeout=REACH_SECONDS)
    except httpx.TransportError as error:
        raise ConnectionFailed(f"the service does not respond: {_told(error)}") from error


def idempotent(send: Send) -> Operation[httpx.Response]:
    """A POST that creates something, safe to repeat: the service answers a repeat with the first response."""
    headers = {**send.headers, "Idempotency-Key": str(uuid.uuid4())}
    keyed = Send(send.method, send.path, send.params, headers, send.json, send.content, send.timeout)
    return (yield from request(keyed))


def given(**values: Any) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def moment(value: datetime | str | None) -> str | None:
    """Return a time as the API takes it."""
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.astimezone()).isoformat()


def problem_of(response: httpx.Response) -> ApiError:
    """The error in a response."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    kind = {401: AuthenticationFailed, 403: AuthenticationFailed, 404: NotFound}.get(response.status_code, ApiError)
    return kind(
        response.status_code,
        str(body.get("code", f"http_{response.status_code}")),
        str(body.get("detail") or body.get("title") or f"the service answered {response.status_code}"),
        retryable=bool(body.get("retryable", response.status_code in RETRIED)),
        request_id=body.get("request_id") or response.headers.get("X-Request-ID"),
    )


def _passes(response: httpx.Response, problem: ApiError, *, safe: bool) -> bool:
    if (asked_pause(response) or 0.0) > LONGEST_PAUSE_SECONDS:
        return False  # the caller decides about waits that are longer
    if problem.code == STILL_RUNNING or response.status_code == 429:
        return True
    if response.status_code == 503 and problem.retryable:
        return True
    return safe and response.status_code in RETRIED


def asked_pause(response: httpx.Response) -> float | None:
    """The seconds that `Retry-After` requests, as a number or a date."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        now = parsedate_to_datetime(response.headers["Date"])
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (KeyError, TypeError, ValueError):  # TypeError: only one of the two has a time zone
        return None


def _back_off(tried: int) -> float:
    """Exponential backoff with jitter, so that clients that failed together do not retry together."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (tried - 1))
    return random.uniform(longest / 2, longest)


def _told(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
