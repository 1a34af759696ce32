"""`Idempotency-Key` on a route: a repeated request receives the first response, byte for byte."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from sqlalchemy.orm import Session

from api.auth.callers import Caller
from api.deps import Service
from api.http.threads import in_thread, in_thread_at_once
from common import idempotency
from common.errors import InvalidRequest, ParaqueueError
from common.idempotency import IdempotencyLease, IdempotencyScope, StoredResponse

ACCEPTED_KEY = re.compile(r"[\x21-\x7e]{1,255}")
POLL_SECONDS = "2"
# For the OpenAPI document: routes read the header themselves.
IDEMPOTENT: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "A value of your choice, such as a UUID. A repeat of the request with the same key within "
            "24 hours does nothing more and receives the first response, with `Idempotent-Replayed: true`.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }
    ]
}
ACCEPTED_HEADERS: dict[str, Any] = {
    "Location": {"description": "URL of what was created.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}},
    "Idempotent-Replayed": {
        "description": "`true` if this is the response to an earlier request with the same `Idempotency-Key`.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}


@dataclass(frozen=True, slots=True)
class Key:
    """The caller's key: held until a response is stored, already answered, or not given at all."""

    held: IdempotencyLease | None = None
    answer: StoredResponse | None = None

    def replay(self, fingerprint: bytes) -> Response | None:
        """Return the first response, if there is one. Raises IdempotencyKeyReused."""
        if self.answer is None:
            return None
        response = response_of(self.answer.for_request(fingerprint))
        response.headers["Idempotent-Replayed"] = "true"
        return response

    def keep(
        self,
        session: Session,
        answer: StoredResponse,
        *,
        job_id: uuid.UUID | None = None,
        batch_id: uuid.UUID | None = None,
    ) -> None:
        """Store the response in the transaction that creates the resource. Raises IdempotencyKeyInUse."""
        if self.held is not None:
            idempotency.keep(session, self.held, answer, job_id=job_id, batch_id=batch_id)


def response_of(answer: StoredResponse) -> Response:
    """Return the HTTP response for a stored one."""
    headers = {"Location": answer.location} if answer.location is not None else {}
    if answer.status == 202:
        headers["Retry-After"] = POLL_SECONDS
    return Response(answer.body, answer.status, headers, media_type="application/json")


@asynccontextmanager
async def key_of(request: Request, service: Service, caller: Caller) -> AsyncIterator[Key]:
    """Lease the request's key for the duration of the context; an error releases it."""
    given = request.headers.get("idempotency-key")
    if given is None:
        yield Key()
        return
    if not ACCEPTED_KEY.fullmatch(given):
        raise InvalidRequest("an Idempotency-Key is 1 to 255 visible ASCII characters without white space")
    scope = IdempotencyScope(caller.tenant, caller.key_id, given)
    begun = await in_thread(idempotency.begin, service.database, scope)
    if isinstance(begun, StoredResponse):
        yield Key(answer=begun)
        return
    renewing = asyncio.create_task(_renew(service, begun))
    try:
        yield Key(held=begun)
    except BaseException:
        with suppress(ParaqueueError):  # the lease expires
            await in_thread(idempotency.release, service.database, begun)
        raise
    finally:
        renewing.cancel()


async def _renew(service: Service, held: IdempotencyLease) -> None:
    while True:
        await asyncio.sleep(idempotency.RENEW_SECONDS)
        with suppress(ParaqueueError):  # retried before the lease expires
            await in_thread_at_once(idempotency.renew, service.database, held)
