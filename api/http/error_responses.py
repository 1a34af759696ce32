"""The errors of each call for the OpenAPI document, by their HTTP status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.http import openai_errors, problems
from common import errors
from common.errors import ParaqueueError

CODES = "x-error-codes"
PROBLEM = {"$ref": "#/components/schemas/Problem"}
OPENAI_ERROR = {"$ref": "#/components/schemas/OpenAIErrorOut"}
# What the gate of /v1 answers before any route, and what can happen to every call.
OF_EVERY_CALL = (errors.Unauthenticated, errors.Forbidden, errors.RateLimited, errors.Internal, errors.Unavailable)
# Visitors have no scopes.
OF_VISITS = (errors.Unauthenticated, errors.RateLimited, errors.Internal, errors.Unavailable)
OF_BODIES = (errors.UploadTooLarge, errors.InvalidRequest)
# A body that cannot even be read: FastAPI's answer.
UNREADABLE = 400
# For calls that write bytes to storage.
OF_STORING = (errors.StorageFull, errors.StorageUnavailable)
OF_IDEMPOTENCY = (errors.InvalidRequest, errors.IdempotencyKeyInUse, errors.IdempotencyKeyReused)
OF_SUBMITTING = (
    errors.UnknownModel,
    errors.UnsupportedLanguage,
    errors.SpeakersUnsupported,
    errors.WebhooksNotConfigured,
    errors.SummariesNotConfigured,
    errors.QuotaExceeded,
    errors.NotFound,
    *OF_IDEMPOTENCY,
)

Responses = dict[int | str, dict[str, Any]]


def errors_of(*kinds: type[ParaqueueError]) -> Responses:
    """Return what a route declares as its `responses`; `complete` adds what all calls have in common."""
    declared: Responses = {}
    for kind in kinds:
        declared.setdefault(problems.STATUS[kind], {"description": "", CODES: []})[CODES].append(kind.code)
    return declared


def complete(operation: dict[str, Any], *, path: str, guarded: bool, by_visitors: bool = False) -> None:
    """Replace an operation's placeholder for errors by its real statuses, each with the codes that come with it."""
    responses: dict[str, dict[str, Any]] = operation["responses"]
    responses.pop("default", None)
    if not guarded:
        return
    codes = {int(status): list(item[CODES]) for status, item in responses.items() if CODES in item}
    everywhere: tuple[type[ParaqueueError], ...] = OF_VISITS if by_visitors else OF_EVERY_CALL
    for kind in (*everywhere, *_by_parameters(operation, path)):
        codes.setdefault(problems.STATUS[kind], []).append(kind.code)
    if "requestBody" in operation:
        codes.setdefault(UNREADABLE, []).append(errors.InvalidRequest.code)
    if path.startswith(openai_errors.PATHS):
        codes = _as_openai(codes)
    kept = {status: item for status, item in responses.items() if CODES not in item}
    made = {str(status): _response(status, found, path) for status, found in codes.items()}
    operation["responses"] = dict(sorted((kept | made).items()))


def _by_parameters(operation: dict[str, Any], path: str) -> Iterable[type[ParaqueueError]]:
    if "requestBody" in operation:
        yield from OF_BODIES
    checked = [item for item in operation.get("parameters", []) if not _is_id(item)]
    if checked:
        yield errors.InvalidRequest
    if "{" in path:
        yield errors.NotFound


def _is_id(parameter: dict[str, Any]) -> bool:
    """Whether any value is well-formed: one that names nothing is not found."""
    return parameter["in"] == "path" and set(parameter["schema"]) <= {"type", "title"}


def _as_openai(codes: dict[int, list[str]]) -> dict[int, list[str]]:
    """Return the codes by the statuses that OpenAI's SDKs expect, and under their names."""
    moved: dict[int, list[str]] = {}
    for status, found in codes.items():
        for code in found:
            shown = openai_errors.CODES.get(code, code)
            moved.setdefault(openai_errors.STATUS.get(code, status), []).append(shown)
    return moved


def _response(status: int, codes: list[str], path: str) -> dict[str, Any]:
    openai = path.startswith(openai_errors.PATHS)
    media_type, schema = ("application/json", OPENAI_ERROR) if openai else (problems.MEDIA_TYPE, PROBLEM)
    known = sorted(set(codes))
    return {
        "description": f"{problems.TITLES.get(status, 'Error')}: {', '.join(f'`{code}`' for code in known)}",
        CODES: known,
        "content": {media_type: {"schema": schema}},
    }
