"""File names as servers and links give them, cleaned for display. Percent-encoding is decoded exactly once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any
from urllib.parse import unquote_to_bytes

LONGEST = 255
# Most file systems allow 255 bytes; this leaves room for a number and an ending.
STEM_BYTES = 200
# Devices of Windows, whatever the ending
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}


def of_link(url: str) -> str | None:
    """The file name at the end of a link's path; None if the path ends with a slash."""
    scheme, _, path = url.partition("://")
    if scheme.lower() in {"http", "https"}:  # keys of objects may hold these signs
        path = path.partition("#")[0].partition("?")[0]
    return plain(_decoded(path.partition("/")[2].rpartition("/")[2]))


def of_disposition(header: str | None) -> str | None:
    """Return the file name in a Content-Disposition header (RFC 6266): `filename*` if present, otherwise `filename`.

    `header` is the value as HTTP libraries return it, each byte a character. A plain `filename` may contain raw UTF-8
    or GBK, or percent-encoding, which browsers decode too. None for a header that cannot be read.
    """
    if not header:
        return None
    message = Message()
    message["content-disposition"] = _text(header.encode("latin-1", "replace"))
    try:
        params: list[tuple[str, Any]] = message.get_params([], "content-disposition")
        names = [value for name, value in params if name.lower() == "filename"]
        extended = [collapse_rfc2231_value(value) for value in names if isinstance(value, tuple)]
    except (TypeError, ValueError):  # the parser of `email` raises them for some malformed parameters
        return None
    simple = [_decoded(value) for value in names if isinstance(value, str)]
    return next((name for name in map(plain, extended + simple) if name), None)


def _decoded(name: str) -> str:
    return _text(unquote_to_bytes(name)) if "%" in name else name


def _text(data: bytes) -> str:
    """UTF-8, or GB 18030, which older Chinese servers use."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace")


def plain(name: str) -> str | None:
    """Return the last part of a path, without control characters and lone surrogates, which databases reject."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if unicodedata.category(sign)[0] != "C").strip()[:LONGEST] or None


class UniqueNames:
    """Names for the files of one folder: valid on every system, and different also where case does not count."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {_folded(name) for name in taken}

    def of(self, stem: str, ending: str) -> str:
        """Return a new name for a file, with a number if the plain one is taken."""
        stem, number = _safe(stem), 1
        name = f"{stem}.{ending}"
        while _folded(name) in self._taken:
            number += 1
            name = f"{stem} ({number}).{ending}"
        self._taken.add(_folded(name))
        return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _safe(stem: str) -> str:
    """Return a name without what Windows, macOS or Linux does not allow in one."""
    signs = ("_" if sign in '<>:"/\\|?*' or unicodedata.category(sign)[0] == "C" else sign for sign in stem)
    cut = unicodedata.normalize("NFC", "".join(signs)).encode()[:STEM_BYTES].decode(errors="ignore").strip(" .")
    return f"_{cut}" if not cut or cut.partition(".")[0].rstrip().upper() in RESERVED else cut
