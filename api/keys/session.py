"""Who calls; and a browser's session, begun with a key in a header, carried on by a cookie."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from api.auth.identities import credential_of
from api.deps import CallerDep, ServiceDep, v1_router
from common.errors import Forbidden
from common.keys import Scope, digest_of

router = v1_router("/v1/session", "session")


class SessionOut(BaseModel):
    """A session; `csrf_token` belongs into the header `X-CSRF-Token` of calls that change something."""

    tenant: str
    scopes: list[Scope]
    expires_at: datetime
    csrf_token: str


class CallerOut(BaseModel):
    """Who calls, and what it may do."""

    authentication: Literal["on", "off"] = Field(description="`off`: nobody needs a key here.")
    name: str = Field(description="Of the key or token; empty without authentication.")
    tenant: str
    scopes: list[Scope]
    operator: bool = Field(description="Whether it sees and makes keys of all tenants.")
    max_upload_bytes: int


@router.get("")
async def look(service: ServiceDep, caller: CallerDep) -> CallerOut:
    """Who calls, by whichever credential; how a page finds out whether it is signed in."""
    return CallerOut(
        authentication=service.settings.auth,
        name=caller.name,
        tenant=caller.tenant,
        scopes=sorted(caller.scopes),
        operator=caller.operator,
        max_upload_bytes=caller.limits.max_upload_bytes,
    )


@router.post("", status_code=201)
async def begin(request: Request, response: Response, service: ServiceDep, caller: CallerDep) -> SessionOut:
    """Begin a session with an API key. It ends with the key, after some hours, or with DELETE."""
    credential = credential_of(request.headers)
    if not caller.by_key or credential is None:
        raise Forbidden("a session can only be started with an API key, and is not carried on by itself")
    session = service.authenticator.sessions.begin(digest_of(credential))
    service.authenticator.sessions.put(request, response, session)
    response.headers["Cache-Control"] = "no-store"
    expires_at = datetime.fromtimestamp(session.expires_at, UTC)
    return SessionOut(
        tenant=caller.tenant, scopes=sorted(caller.scopes), expires_at=expires_at, csrf_token=session.csrf
    )


@router.delete("", status_code=204, response_class=Response)
async def end(request: Request, service: ServiceDep, _caller: CallerDep) -> Response:
    """End the session of this browser; a copy of its cookie is then worth nothing either."""
    response = Response(status_code=204)
    if credential_of(request.headers) is None:
        await service.authenticator.end_session(request)
    service.authenticator.sessions.remove(request, response)
    return response
