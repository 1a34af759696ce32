"""How large a request body may be, by route. Held to before anything parses it.

Bodies that stream to storage have no limit here: their routes hold them to the caller's `max_upload_bytes`.
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
LISTS_OF_LINKS = {("POST", "/v1/transcriptions"), ("POST", "/v1/batches")}
FORMS = {("POST", "/v1/transcriptions"), ("POST", "/v1/audio/transcriptions")}
MOST_DIGITS = 18
APPENDED = re.compile(r"/v1/uploads(/[^/]*)?")


class BodyTooLarge(HTTPException):
    """FastAPI turns every other exception into a 400 while it reads a body."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, too_large(limit))


def too_large(limit: int) -> str:
    """What a client is told."""
    return f"the body of this call has at most {limit} bytes"


def body_limit(scope: Scope) -> int | None:
    """The limit of a request's body in bytes; None where the route itself holds a stream to the caller's limit."""
    route = (scope["method"], scope["path"].rstrip("/"))
    kind = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    if route in FORMS and kind == "multipart/form-data":
        return None
    # A path below is some other call, except for the tus ones that carry bytes.
    if route[0] in {"POST", "PATCH"} and APPENDED.fullmatch(route[1]) and not route[1].endswith("/presigned"):
        return None
    return LISTS_OF_LINKS_BYTES if route in LISTS_OF_LINKS else DEFAULT_BYTES


def check_announced(scope: Scope, limit: int) -> None:
    """Raise UploadTooLarge for a `Content-Length` beyond the limit."""
    if announced_bytes(Headers(scope=scope)) > limit:
        raise UploadTooLarge(too_large(limit))


def announced_bytes(headers: Headers) -> float:
    """The `Content-Length`; 0 where there is none that can be read, infinity for one of more than 18 digits."""
    text = headers.get("content-length", "")
    if not (text.isascii() and text.isdecimal()):
        return 0
    return int(text) if len(text) <= MOST_DIGITS else float("inf")


def limited(receive: Receive, limit: int) -> Receive:
    """The same body, which raises BodyTooLarge where more than `limit` bytes of it come."""
    came = 0

    async def within_limit() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise BodyTooLarge(limit)
        return message

    return within_limit
