"""Size limits of request bodies by route, enforced before anything parses a body.

Bodies that stream to storage have no limit here: their routes enforce the caller's `max_upload_bytes`.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from common.errors import UploadTooLarge

KIBIBYTE = 1024
DEFAULT_BYTES = 64 * KIBIBYTE
# A hundred links of 4,096 characters
LISTS_OF_LINKS_BYTES = 512 * KIBIBYTE
# A thousand hotwords and a thousand masked words, each character as an escape
VOCABULARY_BYTES = 1024 * KIBIBYTE
VOCABULARY = re.compile(r"/v1/vocabularies(/[^/]*)?")
LISTS_OF_LINKS = {("POST", "/v1/transcriptions"), ("POST", "/v1/batches")}
# 5,000 corrections of ordinary sentences, each with the recognised text
CORRECTIONS_BYTES = 4 * 1024 * KIBIBYTE
CORRECTIONS = re.compile(r"/v1/transcriptions/[^/]+/corrections")
FORMS = {("POST", "/v1/transcriptions"), ("POST", "/v1/audio/transcriptions")}
MOST_DIGITS = 18
APPENDED = re.compile(r"/v1/uploads(/[^/]*)?")


class BodyTooLarge(HTTPException):
    """An HTTPException, because FastAPI turns all other exceptions into a 400 while it reads a body."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, too_large(limit))


def too_large(limit: int) -> str:
    """Return the error message for clients."""
    return f"the body of this call has at most {limit} bytes"


def body_limit(scope: Scope) -> int | None:
    """Return the size limit of a body in bytes; None if the route limits a stream to the caller's limit itself."""
    route = (scope["method"], scope["path"].rstrip("/"))
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if route in FORMS and kind == "multipart/form-data":
        return None
    # Only the tus calls on these paths carry bytes; deeper paths are other calls.
    if route[0] in {"POST", "PATCH"} and APPENDED.fullmatch(route[1]) and not route[1].endswith("/presigned"):
        return None
    if VOCABULARY.fullmatch(route[1]):
        return VOCABULARY_BYTES
    if route[0] == "POST" and CORRECTIONS.fullmatch(route[1]):
        return CORRECTIONS_BYTES
    return LISTS_OF_LINKS_BYTES if route in LISTS_OF_LINKS else DEFAULT_BYTES


def check_announced(scope: Scope, limit: int) -> None:
    """Raise UploadTooLarge for a `Content-Length` beyond the limit."""
    if announced_bytes(Headers(scope=scope)) > limit:
        raise UploadTooLarge(too_large(limit))


def announced_bytes(headers: Headers) -> float:
    """Return the `Content-Length`; 0 if missing or unreadable, infinity if it has more than 18 digits."""
    text = headers.get("content-length", "")
    if not (text.isascii() and text.isdecimal()):
        return 0
    return int(text) if len(text) <= MOST_DIGITS else float("inf")


def limited(receive: Receive, limit: int) -> Receive:
    """Wrap `receive` so that it raises BodyTooLarge once the body exceeds `limit` bytes."""
    came = 0

    async def within_limit() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise BodyTooLarge(limit)
        return message

    return within_limit
