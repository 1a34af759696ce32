"""Errors in OpenAI's form, on the paths that its SDKs call."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from common.errors import AudioEmpty, InvalidRequest, UnknownModel, UnsupportedLanguage

PATHS = "/v1/audio/"
MODELS = "/v1/models"
# What OpenAI answers where we have another status or code.
STATUS = {InvalidRequest.code: 400, AudioEmpty.code: 400, UnsupportedLanguage.code: 400, UnknownModel.code: 404}
CODES = {UnknownModel.code: "model_not_found", "unauthenticated": "invalid_api_key"}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# For the OpenAPI document, in the place of problem details.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "An error in OpenAI's form",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["message", "type", "param", "code", "request_id"],
                            "properties": {
                                "message": {"type": "string"},
                                "type": {"type": "string"},
                                "param": {"type": ["string", "null"]},
                                "code": {"type": "string"},
                                "request_id": {"type": ["string", "null"]},
                                "transcription_id": {"type": "string"},
                            },
                        }
                    },
                }
            }
        },
    }
}


def wanted(request: Request) -> bool:
    """Whether the caller expects OpenAI's form and nothing else."""
    return request.url.path.startswith(PATHS)


def understood(request: Request) -> bool:
    """Whether the caller may be an OpenAI SDK, on a path that has problem details too."""
    return request.url.path == MODELS or request.url.path.startswith(MODELS + "/")


def error_of(status: int, code: str, message: str, *, param: str | None = None, **more: Any) -> dict[str, Any]:
    """The value of `error`."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"message": message, "type": kind, "param": param, "code": CODES.get(code, code), **more}


def answer(
    request: Request, status: int, code: str, message: str, *, retryable: bool, param: str | None = None, **more: Any
) -> JSONResponse:
    """A response whose body is OpenAI's. `x-should-retry` is what its SDKs obey before they look at the status."""
    status = STATUS.get(code, status)
    more["request_id"] = getattr(request.state, "request_id", None)
    body = {"error": error_of(status, code, message, param=param, **more)}
    return JSONResponse(body, status, {"x-should-retry": "true" if retryable else "false"})
