"""Headers of the tus protocol, version 1.0.

Extensions: creation, creation-with-upload, creation-defer-length, termination, expiration, checksum.
"""

from __future__ import annotations

import base64
import binascii
from email.utils import format_datetime

from fastapi import Request

from common import file_names
from common.errors import InvalidRequest, TusVersion, UnsupportedMediaType, UploadTooLarge
from common.uploads import ALGORITHMS, Checksum, Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum"
MEDIA_TYPE = "application/offset+octet-stream"
# For the OpenAPI document
ABILITY_HEADERS = {
    "Tus-Version": {"description": "Versions of the protocol.", "schema": {"type": "string"}},
    "Tus-Extension": {"description": "Supported extensions.", "schema": {"type": "string"}},
    "Tus-Checksum-Algorithm": {"description": "For `Upload-Checksum`.", "schema": {"type": "string"}},
    "Tus-Max-Size": {"description": "Maximum size of a file in bytes.", "schema": {"type": "integer"}},
}
METADATA_CHARACTERS = 4096


async def speak_tus(request: Request) -> None:
    """A dependency: adds our tus version to every response and requires it in every request. Raises TusVersion."""
    headers = request.scope.setdefault("state", {}).setdefault("answer_headers", {})
    headers["Tus-Resumable"] = VERSION
    if request.headers.get("tus-resumable") != VERSION:
        headers["Tus-Version"] = VERSION
        raise TusVersion(f"this service speaks tus {VERSION}: send the header `Tus-Resumable: {VERSION}`")


def abilities(max_bytes: int) -> dict[str, str]:
    """Return the headers of the response to OPTIONS."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        "Tus-Max-Size": str(max_bytes),
    }


def standing(upload: Upload) -> dict[str, str]:
    """Return the headers that describe an upload's progress, for HEAD and for the responses to POST and PATCH."""
    headers = {
        "Upload-Offset": str(upload.received),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
        "Cache-Control": "no-store",
    }
    if upload.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length)
    if upload.metadata is not None:
        headers["Upload-Metadata"] = upload.metadata
    return headers


def number(request: Request, name: str) -> int | None:
    """Return a header that is a non-negative integer; None if it is missing. Raises InvalidRequest."""
    text = request.headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidRequest(f"`{name}` is not a number of bytes")
    return int(text)


def announced_length(request: Request, max_bytes: int) -> int | None:
    """Return a POST's `Upload-Length`; None with `Upload-Defer-Length: 1`. Raises InvalidRequest, UploadTooLarge."""
    length = number(request, "Upload-Length")
    deferred = request.headers.get("upload-defer-length")
    if (length is None) == (deferred is None) or deferred not in (None, "1"):
        raise InvalidRequest("send either `Upload-Length` or `Upload-Defer-Length: 1`")
    return at_most(length, max_bytes)


def at_most(length: int | None, max_bytes: int) -> int | None:
    """Return the length. Raises UploadTooLarge."""
    if length is not None and length > max_bytes:
        raise UploadTooLarge(f"the file is larger than the limit of {max_bytes} bytes")
    return length


def metadata(request: Request) -> tuple[str | None, str | None]:
    """Return the raw `Upload-Metadata` and the file name in it. Raises InvalidRequest."""
    text = request.headers.get("upload-metadata")
    if not text:
        return None, None
    if len(text) > METADATA_CHARACTERS:
        raise InvalidRequest(f"`Upload-Metadata` has more than {METADATA_CHARACTERS} characters")
    fields: dict[str, str] = {}
    for pair in text.split(","):
        key, _, encoded = pair.strip().partition(" ")
        try:
            value = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidRequest("`Upload-Metadata` is not a list of keys with values in base64") from None
        if not key or key in fields or not key.isascii():
            raise InvalidRequest("`Upload-Metadata` has a key that is empty, not ASCII, or there twice")
        fields[key] = value
    return text, file_names.plain(fields.get("filename") or fields.get("name") or "")


def checksum(request: Request) -> Checksum | None:
    """Parse `Upload-Checksum`. Raises InvalidRequest."""
    text = request.headers.get("upload-checksum")
    return None if text is None else Checksum.parsed(text)


def brings_bytes(request: Request) -> bool:
    """Return whether the body contains bytes of the upload."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


def must_bring_bytes(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body contains bytes of the upload."""
    if not brings_bytes(request):
        raise UnsupportedMediaType(f"the body must have the content type {MEDIA_TYPE}")
