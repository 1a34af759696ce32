"""Our errors as RFC 9457 problem details. The only module that maps error codes to HTTP statuses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.http import openai_errors
from api.http.metrics import ERRORS
from common import errors
from common.errors import ParaqueueError
from common.telemetry import get_logger

log = get_logger(__name__)


class InvalidField(BaseModel):
    """What is wrong with a field of the request."""

    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:paraqueue:error:not_found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What went wrong, for people.", examples=["not found: 'tr_0'"])
    code: str = Field(description="Stable; the documentation lists all codes.", examples=["not_found"])
    request_id: str | None = Field(description="Also in the service's log.", examples=["0197f3c2a1b07c3e"])
    retryable: bool = Field(description="Whether the same call may succeed later without a change.")
    errors: list[InvalidField] | None = Field(
        default=None, description="Only with `invalid_request`, if single fields are invalid: the first of them."
    )
    current: list[dict[str, Any]] | None = Field(
        default=None,
        description="Only with `edit_conflict` of corrections: the first changed sentences as they are now, each "
        "with `number`, `text` and `edit`.",
    )


STATUS: dict[type[ParaqueueError], int] = {
    errors.InvalidRequest: 422,
    errors.UnknownModel: 422,
    errors.UnsupportedLanguage: 422,
    errors.SpeakersUnsupported: 422,
    errors.NoSpeakers: 409,
    errors.SourceNotAllowed: 422,
    errors.WebhooksNotConfigured: 422,
    errors.TooManyWebhooks: 409,
    errors.TooManyVocabularies: 409,
    errors.VocabularyNameTaken: 409,
    errors.VocabularyChanged: 409,
    errors.VoicesOff: 409,
    errors.TooManyVoices: 409,
    errors.VoiceNameTaken: 409,
    errors.NoVoicePrint: 409,
    errors.SummariesNotConfigured: 422,
    errors.TooManySummaryTemplates: 409,
    errors.SummaryTemplateNameTaken: 409,
    errors.SummaryTemplateChanged: 409,
    errors.SharingOff: 409,
    errors.TooManyShares: 409,
    errors.IdempotencyKeyInUse: 409,
    errors.IdempotencyKeyReused: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.RateLimited: 429,
    errors.QuotaExceeded: 429,
    errors.SessionsNotConfigured: 422,
    errors.NotFound: 404,
    errors.NotReady: 409,
    errors.NoTranscript: 409,
    errors.WrongState: 409,
    errors.EditConflict: 409,
    errors.Expired: 410,
    errors.NotAcceptable: 406,
    errors.UploadTooLarge: 413,
    errors.UploadIncomplete: 400,
    errors.UploadLocked: 423,
    errors.OffsetMismatch: 409,
    errors.ChecksumMismatch: 460,
    errors.TusVersion: 412,
    errors.UnsupportedMediaType: 415,
    errors.AudioEmpty: 422,
    errors.AudioNotDecodable: 422,
    errors.StorageFull: 507,
    errors.StorageUnavailable: 503,
    errors.Unavailable: 503,
    errors.Internal: 500,
}
# Codes for Starlette's own errors, such as an unknown path or an unsupported method.
FRAMEWORK_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "upload_too_large",
    400: "invalid_request",
    422: "invalid_request",
}
TITLES = {
    400: "Bad request",
    401: "Unauthenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Request timeout",
    409: "Conflict",
    410: "Gone",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid request",
    423: "Locked",
    429: "Too many requests",
    460: "Checksum mismatch",
    500: "Internal error",
    503: "Unavailable",
    507: "Storage full",
}
RETRY_AFTER_SECONDS = "5"
# RFC 6750
CHALLENGE = {401: 'Bearer realm="paraqueue"', 403: 'Bearer realm="paraqueue", error="insufficient_scope"'}
MEDIA_TYPE = "application/problem+json"
ERRORS_NAMED = 20
ERROR_CHARACTERS = 500
FIELD_CHARACTERS = 100
# Keeps FastAPI's own format of a 422 out of the OpenAPI document; `api.http.error_responses` replaces it.
RESPONSES: dict[int | str, dict[str, Any]] = {"default": {"description": "An error"}}


def problem(request: Request, status: int, code: str, detail: str, *, retryable: bool, **more: Any) -> JSONResponse:
    """Return a problem-details response; on the paths of OpenAI's SDKs it uses the format that they expect."""
    ERRORS.labels(code).inc()
    if openai_errors.wanted(request):
        response = openai_errors.answer(request, status, code, detail, retryable=retryable)
        if response.status_code in CHALLENGE:
            response.headers["WWW-Authenticate"] = CHALLENGE[response.status_code]
        return response
    if openai_errors.understood(request):
        more["error"] = openai_errors.error_of(status, code, detail)
    body = {
        "type": f"urn:paraqueue:error:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": getattr(request.state, "request_id", None),
        "retryable": retryable,
        **more,
    }
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if retryable else {}
    if status in CHALLENGE:
        headers["WWW-Authenticate"] = CHALLENGE[status]
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def answer(request: Request, error: ParaqueueError, **more: Any) -> JSONResponse:
    """Return the response for one of our errors; `more` are members of it besides the usual ones."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status >= 500:
        log.error("request_failed", error_code=error.code, detail=error.message, cause=repr(error.__cause__))
    response = problem(request, status, error.code, error.message, retryable=error.retryable, **more)
    if isinstance(error, errors.RateLimited | errors.QuotaExceeded):
        response.headers["Retry-After"] = str(error.after_seconds)
    return response


def install(app: FastAPI) -> None:
    """Render all errors of the app in one format."""

    @app.exception_handler(ParaqueueError)
    def ours(request: Request, error: ParaqueueError) -> JSONResponse:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(request, error.errors())

    @app.exception_handler(HTTPException)
    def framework(request: Request, error: HTTPException) -> JSONResponse:
        code = FRAMEWORK_CODES.get(error.status_code, "http_error")
        answer = problem(request, error.status_code, code, str(error.detail), retryable=False)
        answer.headers.update(error.headers or {})
        if error.status_code == 405:
            answer.headers["Allow"] = ", ".join(_methods(app, request.url.path))
        return answer

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        # Starlette calls this outside our middleware, which has already unbound the id.
        request_id = getattr(request.state, "request_id", "")
        log.error("request_crashed", request_id=request_id, exc_info=error)
        detail = "an internal error; the log of the service has the details under this request id"
        answer = problem(request, 500, errors.Internal.code, detail, retryable=True)
        answer.headers["X-Request-ID"] = request_id
        return answer


def _invalid(request: Request, all_errors: Sequence[Any]) -> JSONResponse:
    """Report the first errors, each truncated: a body may cause thousands, with names of any length."""
    named = all_errors[:ERRORS_NAMED]
    fields = [(_where(item["loc"]), item["msg"].removeprefix("Value error, ")[:ERROR_CHARACTERS]) for item in named]
    detail = "; ".join(f"{field}: {message}" for field, message in fields)
    if len(all_errors) > len(fields):
        detail += f"; and {len(all_errors) - len(fields)} more"
    errors_out = [{"field": field, "message": message} for field, message in fields]
    return problem(request, 422, errors.InvalidRequest.code, detail, retryable=False, errors=errors_out)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Return all methods of a path, as RFC 9110 requires; Starlette lists only those of the first matching route."""
    paths = app.openapi()["paths"]
    methods_here = {method.upper() for method in paths.get(path, {})}
    for template, methods in paths.items() if not methods_here else ():
        if re.fullmatch(re.sub(r"\{[^/]+\}", "[^/]+", template), path):
            methods_here |= {method.upper() for method in methods}
    return sorted(methods_here)


def _where(location: tuple[Any, ...]) -> str:
    named = ".".join(str(part) for part in location if part not in {"body", "query", "path"}) or "body"
    # A JSON name may contain an unpaired surrogate, which is not a character and cannot be sent back.
    named = named.encode("utf-8", "backslashreplace").decode()
    return named if len(named) <= FIELD_CHARACTERS else named[:FIELD_CHARACTERS] + "…"
