"""The client that blocks; it runs the operations of `paraqueue.operations` and its neighbours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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


def _blocking(operation: Callable[P, Operation[T]]) -> Callable[Concatenate[Client, P], T]:
    def method(self: Client, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(operation(*args, **kwargs))

    return documented(method, operation, "Client")  # type: ignore[return-value]


class Client(Connection):
    """A client that blocks and may be shared by threads. Close it, or use it in a `with` statement.

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
        http_client: httpx.Client | None = None,
    ) -> None:
        """Defaults: `PARAQUEUE_URL` and `PARAQUEUE_API_KEY`, then the configuration file, then localhost."""
        import httpx

        super().__init__(url, api_key, profile, max_retries)
        check_only(http_client, timeout, ca)
        self._owned = http_client is None
        self._http = http_client or httpx.Client(**client_options(timeout, ca))

    submit = _blocking(operations.submit)
    get = _blocking(operations.get)
    page = _blocking(operations.page)
    wait = _blocking(operations.wait)
    transcript = _blocking(operations.transcript)
    text = _blocking(exports.text)
    export = _blocking(exports.export)
    export_many = _blocking(exports.export_many)
    search = _blocking(reading.search)
    sentence_page = _blocking(reading.sentence_page)
    sentence = _blocking(reading.sentence)
    audio = _blocking(reading.audio)
    correct = _blocking(corrections.correct)
    confirm = _blocking(corrections.confirm)
    history = _blocking(corrections.history)
    correct_many = _blocking(corrections.correct_many)
    replacements = _blocking(corrections.replacements)
    split_sentence = _blocking(structure.split_sentence)
    merge_sentences = _blocking(structure.merge_sentences)
    speakers = _blocking(operations.speakers)
    name_speaker = _blocking(operations.name_speaker)
    merge_speakers = _blocking(operations.merge_speakers)
    assign_sentence = _blocking(operations.assign_sentence)
    transcribe = _blocking(operations.transcribe)
    update = _blocking(labels.update)
    cancel = _blocking(operations.cancel)
    retry = _blocking(operations.retry)
    delete = _blocking(operations.delete)
    submit_batch = _blocking(of_batches.submit_batch)
    batch = _blocking(of_batches.batch)
    batches = _blocking(of_batches.batches)
    summarize = _blocking(of_summaries.summarize)
    summary = _blocking(of_summaries.summary)
    wait_for_summary = _blocking(of_summaries.wait_for_summary)
    delete_summary = _blocking(of_summaries.delete_summary)
    summary_templates = _blocking(of_summaries.summary_templates)
    summary_template = _blocking(of_summaries.summary_template)
    create_summary_template = _blocking(of_summaries.create_summary_template)
    update_summary_template = _blocking(of_summaries.update_summary_template)
    delete_summary_template = _blocking(of_summaries.delete_summary_template)
    vocabularies = _blocking(of_vocabularies.vocabularies)
    vocabulary = _blocking(of_vocabularies.vocabulary)
    create_vocabulary = _blocking(of_vocabularies.create_vocabulary)
    update_vocabulary = _blocking(of_vocabularies.update_vocabulary)
    delete_vocabulary = _blocking(of_vocabularies.delete_vocabulary)
    share = _blocking(of_shares.share)
    shares = _blocking(of_shares.shares)
    revoke_share = _blocking(of_shares.revoke_share)
    webhooks = _blocking(endpoints.webhooks)
    create_webhook = _blocking(endpoints.create_webhook)
    update_webhook = _blocking(endpoints.update_webhook)
    rotate_webhook_secret = _blocking(endpoints.rotate_webhook_secret)
    delete_webhook = _blocking(endpoints.delete_webhook)
    test_webhook = _blocking(endpoints.test_webhook)
    deliveries = _blocking(endpoints.deliveries)
    replay_delivery = _blocking(endpoints.replay_delivery)
    models = _blocking(account.models)
    usage = _blocking(account.usage)
    keys = _blocking(account.keys)
    create_key = _blocking(account.create_key)
    rotate_key = _blocking(account.rotate_key)
    revoke_key = _blocking(account.revoke_key)
    reach = _blocking(reach)

    def list(
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
    ) -> Iterator[Transcription]:
        """All transcriptions, newest first or as `sort` says, fetched page by page; see `page`."""
        after: str | None = None
        while True:
            page = self.page(
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
            yield from page.data
            if page.next is None:
                return
            after = page.next

    def sentences(self, id: str) -> Iterator[Sentence]:
        """The sentences of a transcription as they arrive, until it has ended; with speakers, all at the end."""
        from httpx import TransportError
        from httpx_sse import connect_sse

        follower = Follower()
        url = f"{self.config.url}{exports.JOBS}/{id}/events"
        while not follower.ended:
            try:
                headers = self.headers_with(follower.headers)
                with connect_sse(self._http, "GET", url, headers=headers, timeout=SILENCE_SECONDS) as source:
                    if not source.response.is_success:
                        source.response.read()
                        raise problem_of(source.response)
                    for event in source.iter_sse():
                        yield from follower.take(event)
            except TransportError as error:
                if not follower.broken():
                    raise ConnectionFailed(f"the event stream was interrupted: {error}") from error
                time.sleep(follower.pause_seconds)

    def run(self, operation: Operation[T]) -> T:
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
                result = self._perform(effect)
            except Exception as raised:
                error = raised

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Send():
                return self._http.send(self.request_of(self._http, effect))
            case Tries():
                return 1 + self.max_retries
            case Pause():
                return time.sleep(effect.seconds)
            case Call():
                return effect.function()

    def close(self) -> None:
        """Close the connections, unless they are those of your own `http_client`."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
