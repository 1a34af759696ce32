"""Batches: many links at once."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from api.deps import ReadCaller, ServiceDep, SubmitCaller, public_url, v1_router
from api.transcriptions.accept import accepted
from api.transcriptions.batch_schemas import BatchDetail, BatchPageOut, batch_detail_of, batch_of
from api.transcriptions.idempotency import key_of
from api.transcriptions.schemas import SubmitLinks
from api.transcriptions.submit import links_asked_by
from common import ids, jobs

router = v1_router("/v1/batches", "batches")
BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": SubmitLinks.model_json_schema()}}}
}


async def batch_uuid(batch_id: str) -> uuid.UUID:
    """The batch behind an id in a path. Raises NotFound for anything that is not such an id."""
    return ids.parsed(ids.BATCH, batch_id)


@router.post("", status_code=202, response_model=BatchDetail, openapi_extra=BODY)
async def submit(request: Request, service: ServiceDep, caller: SubmitCaller) -> Response:
    """Submit up to 100 links. Bad ones are refused by their number, the others become transcriptions."""
    async with key_of(request, service, caller) as key:
        return await accepted(request, service, caller, await links_asked_by(request), key)


@router.get("")
def list_batches(
    request: Request,
    service: ServiceDep,
    caller: ReadCaller,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> BatchPageOut:
    """A page of batches, newest first."""
    page = jobs.batch_page(service.database, tenant=caller.tenant, after=after, limit=limit)
    base_url = public_url(request, service)
    return BatchPageOut(data=[batch_of(batch, base_url) for batch in page.batches], next=page.next_cursor)


@router.get("/{batch_id}")
def get_batch(
    request: Request, service: ServiceDep, caller: ReadCaller, batch: Annotated[uuid.UUID, Depends(batch_uuid)]
) -> BatchDetail:
    """A batch and what has become of each of its links."""
    found, members = jobs.get_batch(service.database, batch, tenant=caller.tenant)
    return batch_detail_of(found, members, public_url(request, service))
