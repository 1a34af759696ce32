"""A browser's session: begun with a key in a header, carried on by a cookie."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api import sessions
from api.deps import CallerDep, ServiceDep, public_url
from common.errors import Forbidden
from common.keys import Scope

router = APIRouter(prefix="/v1/session", tags=["session"])


class SessionOut(BaseModel):
    """A session; `csrf_token` belongs into the header `X-CSRF-Token` of calls that change something."""

    tenant: str
    scopes: list[Scope]
    expires_at: datetime
    csrf_token: str


@router.post("", status_code=201)
async def begin(request: Request, response: Response, service: ServiceDep, caller: CallerDep) -> SessionOut:
    """Begin a session with an API key. It ends with the key, after some hours, or with DELETE."""
    if caller.key_id is None or not caller.by_key:
        raise Forbidden("a session begins with an API key")
    session = service.identities.sessions.begin(caller.key_id)
    service.identities.sessions.put(response, session, secure=public_url(request, service).startswith("https:"))
    response.headers["Cache-Control"] = "no-store"
    expires_at = datetime.fromtimestamp(session.expires_at, UTC)
    return SessionOut(
        tenant=caller.tenant, scopes=sorted(caller.scopes), expires_at=expires_at, csrf_token=session.csrf
    )


@router.delete("", status_code=204, response_class=Response)
async def end(_caller: CallerDep) -> Response:
    """End the session of this browser."""
    response = Response(status_code=204)
    sessions.end(response)
    return response
