"""Errors in OpenAI's format, on the paths that its SDKs call."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from common.errors import AudioEmpty, InvalidRequest, SpeakersUnsupported, UnknownModel, UnsupportedLanguage

PATHS = "/v1/audio/"
MODELS = "/v1/models"
# OpenAI's statuses and codes where ours differ.
STATUS = {
    InvalidRequest.code: 400,
    SpeakersUnsupported.code: 400,
    AudioEmpty.code: 400,
    UnsupportedLanguage.code: 400,
    UnknownModel.code: 404,
}
CODES = {UnknownModel.code: "model_not_found", "unauthenticated": "invalid_api_key"}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class OpenAIErrorDetails(BaseModel):
    """What went wrong; `transcription_id` is there if a transcription was begun."""

    message: str
    type: str
    param: str | None
    code: str
    request_id: str | None
    transcription_id: str | None = None


class OpenAIErrorOut(BaseModel):
    """An error in OpenAI's form."""

    error: OpenAIErrorDetails


def wanted(request: Request) -> bool:
    """Return whether the caller expects only OpenAI's format."""
    return request.url.path.startswith(PATHS)


def understood(request: Request) -> bool:
    """Return whether the caller may be an OpenAI SDK, on a path that also returns problem details."""
    return request.url.path == MODELS or request.url.path.startswith(MODELS + "/")


def error_of(status: int, code: str, message: str, *, param: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the value of `error`."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"message": message, "type": kind, "param": param, "code": CODES.get(code, code), **more}


def answer(
    request: Request, status: int, code: str, message: str, *, retryable: bool, param: str | None = None, **more: Any
) -> JSONResponse:
    """Return a response in OpenAI's format. Its SDKs check `x-should-retry` before the status."""
    status = STATUS.get(code, status)
    more["request_id"] = getattr(request.state, "request_id", None)
    body = {"error": error_of(status, code, message, param=param, **more)}
    return JSONResponse(body, status, {"x-should-retry": "true" if retryable else "false"})
