"""Operations on batches: many links in one request (see `paraqueue.exchange`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from paraqueue.exchange import Operation, Send, given, idempotent, request
from paraqueue.options import SubmitOptions, body_of

if TYPE_CHECKING:
    from paraqueue.models import Batch, BatchPage

BATCHES = "/v1/batches"


def submit_batch(links: Sequence[str], **options: Unpack[SubmitOptions]) -> Operation[Batch]:
    """Submit up to 100 links at once, with the options of `submit`. A refused link does not affect the others."""
    from paraqueue.models import Batch

    body = {"audio_urls": list(links), **body_of(options)}
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
