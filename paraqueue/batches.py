"""Operations on batches: many links in one request (see `paraqueue.exchange`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from paraqueue.exchange import Operation, Send, idempotent, request
from paraqueue.operations import given
from paraqueue.statuses import Segmentation

if TYPE_CHECKING:
    from paraqueue.models import Batch, BatchPage

BATCHES = "/v1/batches"


class BatchOptions(TypedDict, total=False):
    """The options of `submit`, for all links of a batch."""

    model: str
    channels: Literal["mix", "split", "auto"]
    audio_track: str
    speakers: bool | int
    min_speakers: int
    max_speakers: int
    itn: bool
    remove_fillers: bool
    masked_words: Sequence[str]
    hotwords: Sequence[str]
    vocabulary_id: str
    script: Literal["traditional"]
    segmentation: Segmentation
    priority: int
    tags: Sequence[str]
    webhook_url: str
    webhook_events: Sequence[str]
    dedupe: bool


def submit_batch(links: Sequence[str], **options: Unpack[BatchOptions]) -> Operation[Batch]:
    """Submit up to 100 links at once, with the options of `submit`. A refused link does not affect the others."""
    from paraqueue.models import Batch

    lists = {name: list(value) for name, value in options.items() if isinstance(value, list | tuple)}
    body = {"audio_urls": list(links), **options, **lists}
    answer = yield from idempotent(Send("POST", BATCHES, json=body))
    return Batch.model_validate_json(answer.content)


def batch(id: str) -> Operation[Batch]:
    """A batch with the state of each of its links. Raises NotFound."""
    from paraqueue.models import Batch

    answer = yield from request(Send("GET", f"{BATCHES}/{id}"))
    return Batch.model_validate_json(answer.content)


def batches(*, after: str | None = None, limit: int = 20) -> Operation[BatchPage]:
    """A page of batches, newest first, without their items."""
    from paraqueue.models import BatchPage

    answer = yield from request(Send("GET", BATCHES, {"limit": limit} | given(after=after)))
    return BatchPage.model_validate_json(answer.content)
