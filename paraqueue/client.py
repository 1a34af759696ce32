"""`Client` blocks, `AsyncClient` awaits; both run the operations of `paraqueue.operations`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
from httpx_sse import aconnect_sse, connect_sse

from paraqueue import operations
from paraqueue.config import Config, load_config
from paraqueue.errors import ConnectionFailed
from paraqueue.events import SILENCE_SECONDS, Follower
from paraqueue.exchange import Call, Operation, Pause, Send, problem_of
from paraqueue.models import Sentence, Transcription

P = ParamSpec("P")
T = TypeVar("T")
# A chunk of an upload may take its time on a slow line; silence may not.
TIMEOUT = httpx.Timeout(60.0, connect=10.0)


class Connection:
    """What both clients are made from."""

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        """Without arguments: `PARAQUEUE_URL` and `PARAQUEUE_API_KEY`, else the configuration file, else localhost."""
        self.config: Config = load_config(url=url, api_key=api_key)

    def _options(self) -> dict[str, Any]:
        key = self.config.api_key
        return {
            "base_url": self.config.url,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "timeout": TIMEOUT,
        }


def _request_of(client: httpx.Client | httpx.AsyncClient, send: Send) -> httpx.Request:
    extra: dict[str, Any] = {} if send.timeout is None else {"timeout": send.timeout}
    return client.build_request(
        send.method,
        send.path,
        params=dict(send.params),
        headers=dict(send.headers),
        json=send.json,
        content=send.content,
        **extra,
    )


def _blocking(operation: Callable[P, Operation[T]]) -> Callable[Concatenate[Client, P], T]:
    @wraps(operation)
    def method(self: Client, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(operation(*args, **kwargs))

    return method  # type: ignore[return-value]


def _awaiting(operation: Callable[P, Operation[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @wraps(operation)
    async def method(self: AsyncClient, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(operation(*args, **kwargs))

    return method  # type: ignore[return-value]


class Client(Connection):
    """A client that blocks; may be used from several threads. Close it, or use it in a `with` statement."""

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        super().__init__(url, api_key)
        self._http = httpx.Client(**self._options())

    submit = _blocking(operations.submit)
    get = _blocking(operations.get)
    page = _blocking(operations.page)
    wait = _blocking(operations.wait)
    transcript = _blocking(operations.transcript)
    text = _blocking(operations.text)
    correct = _blocking(operations.correct)
    transcribe = _blocking(operations.transcribe)
    cancel = _blocking(operations.cancel)
    retry = _blocking(operations.retry)
    delete = _blocking(operations.delete)
    models = _blocking(operations.models)
    usage = _blocking(operations.usage)
    keys = _blocking(operations.keys)
    create_key = _blocking(operations.create_key)
    rotate_key = _blocking(operations.rotate_key)
    revoke_key = _blocking(operations.revoke_key)

    def list(self, *, status: str | None = None, tag: str | None = None) -> Iterator[Transcription]:
        """All transcriptions, newest first, fetched a page at a time."""
        after: str | None = None
        while True:
            found = self.page(status=status, tag=tag, after=after, limit=100)
            yield from found.data
            if found.next is None:
                return
            after = found.next

    def sentences(self, id: str) -> Iterator[Sentence]:
        """The sentences of a transcription as they come, until it has ended."""
        follower = Follower()
        path = f"{operations.JOBS}/{id}/events"
        while not follower.ended:
            try:
                with connect_sse(self._http, "GET", path, headers=follower.headers, timeout=SILENCE_SECONDS) as source:
                    if not source.response.is_success:
                        source.response.read()
                        raise problem_of(source.response)
                    for event in source.iter_sse():
                        yield from follower.take(event)
            except httpx.TransportError as error:
                if not follower.broken():
                    raise ConnectionFailed(f"the event stream was interrupted: {error}") from error
                time.sleep(follower.pause_seconds)

    def run(self, operation: Operation[T]) -> T:
        """Do what an operation asks for until it returns."""
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                effect = operation.throw(error) if error else operation.send(result)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            result, error = None, None
            try:
                result = self._perform(effect)
            except Exception as raised:
                error = raised

    def _perform(self, effect: Send | Pause | Call) -> Any:
        match effect:
            case Send():
                return self._http.send(_request_of(self._http, effect))
            case Pause():
                return time.sleep(effect.seconds)
            case Call():
                return effect.function()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(Connection):
    """The same for asyncio. Close it, or use it in an `async with` statement."""

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        super().__init__(url, api_key)
        self._http = httpx.AsyncClient(**self._options())

    submit = _awaiting(operations.submit)
    get = _awaiting(operations.get)
    page = _awaiting(operations.page)
    wait = _awaiting(operations.wait)
    transcript = _awaiting(operations.transcript)
    text = _awaiting(operations.text)
    correct = _awaiting(operations.correct)
    transcribe = _awaiting(operations.transcribe)
    cancel = _awaiting(operations.cancel)
    retry = _awaiting(operations.retry)
    delete = _awaiting(operations.delete)
    models = _awaiting(operations.models)
    usage = _awaiting(operations.usage)
    keys = _awaiting(operations.keys)
    create_key = _awaiting(operations.create_key)
    rotate_key = _awaiting(operations.rotate_key)
    revoke_key = _awaiting(operations.revoke_key)

    async def list(self, *, status: str | None = None, tag: str | None = None) -> AsyncIterator[Transcription]:
        """All transcriptions, newest first, fetched a page at a time."""
        after: str | None = None
        while True:
            found = await self.page(status=status, tag=tag, after=after, limit=100)
            for transcription in found.data:
                yield transcription
            if found.next is None:
                return
            after = found.next

    async def sentences(self, id: str) -> AsyncIterator[Sentence]:
        """The sentences of a transcription as they come, until it has ended."""
        follower = Follower()
        path = f"{operations.JOBS}/{id}/events"
        while not follower.ended:
            try:
                async with aconnect_sse(
                    self._http, "GET", path, headers=follower.headers, timeout=SILENCE_SECONDS
                ) as source:
                    if not source.response.is_success:
                        await source.response.aread()
                        raise problem_of(source.response)
                    async for event in source.aiter_sse():
                        for sentence in follower.take(event):
                            yield sentence
            except httpx.TransportError as error:
                if not follower.broken():
                    raise ConnectionFailed(f"the event stream was interrupted: {error}") from error
                await asyncio.sleep(follower.pause_seconds)

    async def run(self, operation: Operation[T]) -> T:
        """Do what an operation asks for until it returns."""
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                effect = operation.throw(error) if error else operation.send(result)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            result, error = None, None
            try:
                result = await self._perform(effect)
            except Exception as raised:
                error = raised

    async def _perform(self, effect: Send | Pause | Call) -> Any:
        match effect:
            case Send():
                return await self._http.send(_request_of(self._http, effect))
            case Pause():
                return await asyncio.sleep(effect.seconds)
            case Call():
                return await asyncio.to_thread(effect.function)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
