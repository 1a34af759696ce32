"""The current caller and browser sessions, which begin with a key in a header and continue with a cookie."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from fastapi import Request, Response
from pydantic import BaseModel, Field

from api.auth.identities import credential_of
from api.deps import AuthenticatorDep, CallerDep, SettingsDep, v1_router
from api.http.error_responses import errors_of
from common import errors
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
    """The caller and its permissions."""

    authentication: Literal["on", "off"] = Field(description="`off`: no key is required.")
    name: str = Field(description="Name of the key or token; empty without authentication.")
    tenant: str
    scopes: list[Scope]
    operator: bool = Field(description="Whether the caller can see and create keys of all tenants.")
    max_upload_bytes: int
    summaries: bool = Field(description="Whether this installation makes summaries of transcripts.")
    voices: bool = Field(description="Whether this installation recognises known voices, for tenants that want it.")


@router.get("")
async def get_caller(settings: SettingsDep, caller: CallerDep) -> CallerOut:
    """The caller, whatever its credential. Pages use this to find out whether they are signed in."""
    return CallerOut(
        authentication=settings.auth,
        name=caller.name,
        tenant=caller.tenant,
        scopes=sorted(caller.scopes),
        operator=caller.operator,
        max_upload_bytes=caller.limits.max_upload_bytes,
        summaries=settings.summaries,
        voices=settings.voices == "on",
    )


@router.post("", status_code=201, responses=errors_of(errors.SessionsNotConfigured))
async def begin_session(
    request: Request, response: Response, authenticator: AuthenticatorDep, caller: CallerDep
) -> SessionOut:
    """Begin a session with an API key. It ends with the key, after some hours, or with DELETE."""
    credential = credential_of(request.headers)
    if not caller.by_key or credential is None:
        raise Forbidden("a session can be started only with an API key, not with another session")
    session = authenticator.sessions.begin(digest_of(credential))
    authenticator.sessions.put(request, response, session)
    response.headers["Cache-Control"] = "no-store"
    expires_at = datetime.fromtimestamp(session.expires_at, UTC)
    return SessionOut(
        tenant=caller.tenant, scopes=sorted(caller.scopes), expires_at=expires_at, csrf_token=session.csrf
    )


@router.delete("", status_code=204, response_class=Response)
async def end_session(request: Request, authenticator: AuthenticatorDep, _caller: CallerDep) -> Response:
    """End the session of this browser; a copy of its cookie is then worth nothing either."""
    response = Response(status_code=204)
    if credential_of(request.headers) is None:
        await authenticator.end_session(request)
    authenticator.sessions.remove(request, response)
    return response
