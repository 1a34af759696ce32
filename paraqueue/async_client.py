"""The client for asyncio; it runs the operations of `paraqueue.operations` and its neighbours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from paraqueue import account, corrections, endpoints, exports, labels, operations, reading, structure
from paraqueue import batches as of_batches
from paraqueue import shares as of_shares
from paraqueue import summaries as of_summaries
from paraqueue import vocabularies as of_vocabularies
from paraqueue.connection import CA, Connection, check_only, client_options, documented
from paraqueue.errors import ConnectionFailed
from paraqueue.events import SILENCE_SECONDS, Follower
from paraqueue.exchange import MAX_RETRIES, Call, Effect, Operation, Pause, Send, Tries, problem_of, reach
from paraqueue.statuses import Sort, Status

if TYPE_CHECKING:
    import httpx

    from paraqueue.models import Sentence, Transcription

P = ParamSpec("P")
T = TypeVar("T")


def _awaiting(operation: Callable[P, Operation[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncClient, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(operation(*args, **kwargs))

    return documented(method, operation, "AsyncClient")  # type: ignore[return-value]


class AsyncClient(Connection):
    """A client that works with asyncio. Close it, or use it in an `async with` statement.

    `timeout`: seconds, or an `httpx.Timeout`, for each request (default: 60, 10 to connect). `max_retries`: how often
    a request is repeated after temporary failures. `ca`: a file of CA certificates, or an SSL context. `http_client`: a
    client of your own, for a proxy or other transports; you close it.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        profile: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int = MAX_RETRIES,
        ca: CA | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """Defaults: `PARAQUEUE_URL` and `PARAQUEUE_API_KEY`, then the configuration file, then localhost."""
        import httpx

        super().__init__(url, api_key, profile, max_retries)
        check_only(http_client, timeout, ca)
        self._owned = http_client is None
        self._http = http_client or httpx.AsyncClient(**client_options(timeout, ca))

    submit = _awaiting(operations.submit)
    get = _awaiting(operations.get)
    page = _awaiting(operations.page)
    wait = _awaiting(operations.wait)
    transcript = _awaiting(operations.transcript)
    text = _awaiting(exports.text)
    export = _awaiting(exports.export)
    export_many = _awaiting(exports.export_many)
    search = _awaiting(reading.search)
    sentence_page = _awaiting(reading.sentence_page)
    sentence = _awaiting(reading.sentence)
    audio = _awaiting(reading.audio)
    correct = _awaiting(corrections.correct)
    confirm = _awaiting(corrections.confirm)
    history = _awaiting(corrections.history)
    correct_many = _awaiting(corrections.correct_many)
    replacements = _awaiting(corrections.replacements)
    split_sentence = _awaiting(structure.split_sentence)
    merge_sentences = _awaiting(structure.merge_sentences)
    speakers = _awaiting(operations.speakers)
    name_speaker = _awaiting(operations.name_speaker)
    merge_speakers = _awaiting(operations.merge_speakers)
    assign_sentence = _awaiting(operations.assign_sentence)
    transcribe = _awaiting(operations.transcribe)
    update = _awaiting(labels.update)
    cancel = _awaiting(operations.cancel)
    retry = _awaiting(operations.retry)
    delete = _awaiting(operations.delete)
    submit_batch = _awaiting(of_batches.submit_batch)
    batch = _awaiting(of_batches.batch)
    batches = _awaiting(of_batches.batches)
    summarize = _awaiting(of_summaries.summarize)
    summary = _awaiting(of_summaries.summary)
    wait_for_summary = _awaiting(of_summaries.wait_for_summary)
    delete_summary = _awaiting(of_summaries.delete_summary)
    summary_templates = _awaiting(of_summaries.summary_templates)
    summary_template = _awaiting(of_summaries.summary_template)
    create_summary_template = _awaiting(of_summaries.create_summary_template)
    update_summary_template = _awaiting(of_summaries.update_summary_template)
    delete_summary_template = _awaiting(of_summaries.delete_summary_template)
    vocabularies = _awaiting(of_vocabularies.vocabularies)
    vocabulary = _awaiting(of_vocabularies.vocabulary)
    create_vocabulary = _awaiting(of_vocabularies.create_vocabulary)
    update_vocabulary = _awaiting(of_vocabularies.update_vocabulary)
    delete_vocabulary = _awaiting(of_vocabularies.delete_vocabulary)
    share = _awaiting(of_shares.share)
    shares = _awaiting(of_shares.shares)
    revoke_share = _awaiting(of_shares.revoke_share)
    webhooks = _awaiting(endpoints.webhooks)
    create_webhook = _awaiting(endpoints.create_webhook)
    update_webhook = _awaiting(endpoints.update_webhook)
    rotate_webhook_secret = _awaiting(endpoints.rotate_webhook_secret)
    delete_webhook = _awaiting(endpoints.delete_webhook)
    test_webhook = _awaiting(endpoints.test_webhook)
    deliveries = _awaiting(endpoints.deliveries)
    replay_delivery = _awaiting(endpoints.replay_delivery)
    models = _awaiting(account.models)
    usage = _awaiting(account.usage)
    keys = _awaiting(account.keys)
    create_key = _awaiting(account.create_key)
    rotate_key = _awaiting(account.rotate_key)
    revoke_key = _awaiting(account.revoke_key)
    reach = _awaiting(reach)

    async def list(
        self,
        *,
        status: Status | None = None,
        tag: str | None = None,
        batch: str | None = None,
        name: str | None = None,
        created_from: datetime | str | None = None,
        created_to: datetime | str | None = None,
        sort: Sort | None = None,
        preview: bool = False,
    ) -> AsyncIterator[Transcription]:
        """All transcriptions, newest first or as `sort` says, fetched page by page; see `page`."""
        after: str | None = None
        while True:
            page = await self.page(
                status=status,
                tag=tag,
                batch=batch,
                name=name,
                created_from=created_from,
                created_to=created_to,
                sort=sort,
                preview=preview,
                after=after,
                limit=100,
            )
            for transcription in page.data:
                yield transcription
            if page.next is None:
                return
            after = page.next

    async def sentences(self, id: str) -> AsyncIterator[Sentence]:
        """The sentences of a transcription as they arrive, until it has ended; with speakers, all at the end."""
        import asyncio

        from httpx import TransportError
        from httpx_sse import aconnect_sse

        follower = Follower()
        url = f"{self.config.url}{exports.JOBS}/{id}/events"
        while not follower.ended:
            try:
                headers = self.headers_with(follower.headers)
                async with aconnect_sse(self._http, "GET", url, headers=headers, timeout=SILENCE_SECONDS) as source:
                    if not source.response.is_success:
                        await source.response.aread()
                        raise problem_of(source.response)
                    async for event in source.aiter_sse():
                        for sentence in follower.take(event):
                            yield sentence
            except TransportError as error:
                if not follower.broken():
                    raise ConnectionFailed(f"the event stream was interrupted: {error}") from error
                await asyncio.sleep(follower.pause_seconds)

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation until it returns."""
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

    async def _perform(self, effect: Effect) -> Any:
        import asyncio

        match effect:
            case Send():
                return await self._http.send(self.request_of(self._http, effect))
            case Tries():
                return 1 + self.max_retries
            case Pause():
                return await asyncio.sleep(effect.seconds)
            case Call():
                return await asyncio.to_thread(effect.function)

    async def close(self) -> None:
        """Close the connections, unless they are those of your own `http_client`."""
        if self._owned:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
