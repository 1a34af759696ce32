"""Batches: many links in one request."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from api.deps import DatabaseDep, ReadCaller, ServiceDep, SubmitCaller, public_url, v1_router
from api.http.error_responses import OF_SUBMITTING, errors_of
from api.http.paging import After, Limit
from api.transcriptions.batch_schemas import BatchDetail, BatchPageOut, batch_detail_of, batch_of
from api.transcriptions.submitting.accept import accepted
from api.transcriptions.submitting.idempotency import ACCEPTED_HEADERS, IDEMPOTENT, key_of
from api.transcriptions.submitting.submit import links_asked_by
from common import ids, jobs

router = v1_router("/v1/batches", "batches")
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SubmitLinks"}}},
    }
}


async def batch_uuid(batch_id: str) -> uuid.UUID:
    """Return the UUID of a batch id in a path. Raises NotFound if it is not a valid batch id."""
    return ids.parsed(ids.BATCH, batch_id)


@router.post(
    "",
    status_code=202,
    response_model=BatchDetail,
    openapi_extra=BODY | IDEMPOTENT,
    responses={202: {"headers": ACCEPTED_HEADERS}, **errors_of(*OF_SUBMITTING)},
)
async def submit_batch(request: Request, service: ServiceDep, caller: SubmitCaller) -> Response:
    """Submit up to 100 links. Invalid links are refused individually; the others become transcriptions."""
    async with key_of(request, service, caller) as key:
        return await accepted(request, service, caller, await links_asked_by(request), key)


@router.get("")
def list_batches(
    request: Request,
    database: DatabaseDep,
    caller: ReadCaller,
    after: After = None,
    limit: Limit = 20,
) -> BatchPageOut:
    """A page of batches, newest first."""
    page = jobs.batch_page(database, tenant=caller.tenant, after=after, limit=limit)
    base_url = public_url(request)
    return BatchPageOut(data=[batch_of(batch, base_url) for batch in page.batches], next=page.next_cursor)


@router.get("/{batch_id}")
def get_batch(
    request: Request, database: DatabaseDep, caller: ReadCaller, batch: Annotated[uuid.UUID, Depends(batch_uuid)]
) -> BatchDetail:
    """A batch and the state of each of its links."""
    found_batch, members = jobs.get_batch(database, batch, tenant=caller.tenant)
    return batch_detail_of(found_batch, members, public_url(request))
