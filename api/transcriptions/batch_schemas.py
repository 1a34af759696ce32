"""API models of batches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.transcriptions.schemas import Failure
from common import ids
from common.job_states import Status
from common.jobs import Batch, Job


class BatchCounts(BaseModel):
    """How many items of a batch are in which state; together they are all of them."""

    queued: int
    processing: int
    completed: int
    failed: int
    canceled: int
    refused: int = Field(description="Links that were refused.")
    deleted: int = Field(description="Transcriptions that were deleted.")


class BatchItem(BaseModel):
    """One link of a batch, in the order that they were given."""

    index: int
    id: str | None = Field(
        description="The transcription; null if the link was refused or the transcription was deleted."
    )
    status: Status | Literal["refused", "deleted"]
    error: Failure | None


class BatchLinks(BaseModel):
    """Links to related resources."""

    self: str
    transcriptions: str


class BatchOut(BaseModel):
    """Links that were submitted together. `completed` means that no item is running any more, not that none failed."""

    id: str
    object: Literal["batch"] = "batch"
    status: Literal["processing", "completed"]
    total: int
    counts: BatchCounts
    created_at: datetime
    finished_at: datetime | None
    links: BatchLinks


class BatchDetail(BatchOut):
    """A batch with each of its items."""

    items: list[BatchItem]


class BatchPageOut(BaseModel):
    """Some batches, newest first."""

    data: list[BatchOut]
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")


def batch_of(batch: Batch, base_url: str) -> BatchOut:
    """Convert a batch to its API representation."""
    return BatchOut(
        id=batch.public_id,
        status="completed" if batch.done else "processing",
        total=batch.total,
        counts=BatchCounts(
            **{status.value: number for status, number in batch.counts.items()},
            refused=len(batch.refused),
            deleted=batch.deleted,
        ),
        created_at=batch.created_at,
        finished_at=batch.finished_at,
        links=BatchLinks(
            self=f"{base_url}/v1/batches/{batch.public_id}",
            transcriptions=f"{base_url}/v1/transcriptions?batch={batch.public_id}",
        ),
    )


def batch_detail_of(batch: Batch, members: Mapping[int, Job], base_url: str) -> BatchDetail:
    """Convert a batch with its items to its API representation."""
    items = {n: BatchItem(index=n, id=None, status="deleted", error=None) for n in range(batch.total)}
    for item in batch.refused:
        why = Failure(code=item.code, message=item.message, retryable=False)
        items[item.number] = BatchItem(index=item.number, id=None, status="refused", error=why)
    for number, job in members.items():
        failure = job.failure
        why_not = Failure(code=failure.code, message=failure.message, retryable=failure.retryable) if failure else None
        shown = ids.shown(ids.JOB, job.id)
        items[number] = BatchItem(index=number, id=shown, status=job.status, error=why_not)
    return BatchDetail(**batch_of(batch, base_url).model_dump(), items=list(items.values()))
