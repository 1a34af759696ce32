"""What the decoding child tells its parent: framed messages, whose fields are checked and bounded here.

The child reads hostile files, so the parent believes nothing that it says before it has passed through `parse_…`.
"""

from __future__ import annotations

import json
import struct
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from common.transcript.recording import AudioTrack, RecordingWarning

FRAME = struct.Struct("<cI")
# ALIVE is said while a long recording is looked through before its first sample.
HEAD, SOUND, WARNING, FAILURE, END, ALIVE = b"H", b"S", b"W", b"F", b"E", b"A"
MOST_BYTES = {HEAD: 1 << 18, SOUND: 1 << 24, WARNING: 1 << 18, FAILURE: 1 << 14, END: 1 << 14, ALIVE: 0}
MOST_MS = 1 << 40
MOST_TRACKS = 64
MOST_WARNINGS = 500
MAX_CHANNELS = 64
TEXT_LENGTH = 300


class BadMessage(Exception):
    """The child does not keep to the form: it crashed, or a file took it over."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known before the first sample.

    declared_ms: the length that the file states, None where it states none; `exact`: and it can be relied on.
    """

    channels: int
    declared_ms: int | None
    exact: bool
    tracks: tuple[AudioTrack, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no sound: the code of an error of `common.errors`, and a sentence."""

    code: str
    message: str


def frame(kind: bytes, payload: bytes) -> bytes:
    """A message as it is written."""
    return FRAME.pack(kind, len(payload)) + payload


def dump(value: Head | Failure | RecordingWarning) -> bytes:
    """The payload of a message that is not sound."""
    return json.dumps(asdict(value)).encode("ascii")


def parse_head(payload: bytes) -> Head:
    """Raises BadMessage."""
    told = _object(payload)
    tracks = told.get("tracks")
    if not isinstance(tracks, list) or not 1 <= len(tracks) <= MOST_TRACKS:
        raise BadMessage("no tracks")
    declared = told.get("declared_ms")
    return Head(
        channels=whole(told.get("channels"), 1, MAX_CHANNELS),
        declared_ms=None if declared is None else whole(declared, 0, MOST_MS),
        exact=told.get("exact") is True,
        tracks=tuple(_track(item) for item in tracks),
    )


def parse_warnings(payload: bytes) -> tuple[RecordingWarning, ...]:
    """All warnings so far. Raises BadMessage."""
    told = _loaded(payload)
    if not isinstance(told, list) or len(told) > MOST_WARNINGS:
        raise BadMessage("no list of warnings")
    return tuple(_warning(item) for item in told)


def _warning(told: Any) -> RecordingWarning:
    if not isinstance(told, dict):
        raise BadMessage("no warning")
    start, end = (None if told.get(name) is None else whole(told[name], 0, MOST_MS) for name in ("start_ms", "end_ms"))
    return RecordingWarning(text(told.get("code")), text(told.get("message")), start, end)


def parse_failure(payload: bytes) -> Failure:
    """Raises BadMessage."""
    told = _object(payload)
    return Failure(text(told.get("code")), text(told.get("message")))


def text(value: object, most: int = TEXT_LENGTH) -> str:
    """A string without control characters or halves of characters, which neither a database nor a terminal likes."""
    if not isinstance(value, str):
        raise BadMessage("no text")
    return "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in value[:most]).strip()


def whole(value: object, least: int, most: int) -> int:
    """A whole number, brought within its bounds. Raises BadMessage for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadMessage("no whole number")
    return max(least, min(most, value))


def _track(told: Any) -> AudioTrack:
    if not isinstance(told, dict):
        raise BadMessage("no track")
    language, title = told.get("language"), told.get("title")
    return AudioTrack(
        index=whole(told.get("index"), 0, 1 << 16),
        codec=text(told.get("codec"), 40),
        channels=whole(told.get("channels"), 0, 1 << 16),
        sample_rate=whole(told.get("sample_rate"), 0, 1 << 30),
        language=None if language is None else text(language, 20) or None,
        title=None if title is None else text(title, 100) or None,
        default=told.get("default") is True,
        heard=told.get("heard") is True,
    )


def _loaded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadMessage("no JSON") from error


def _object(payload: bytes) -> dict[str, Any]:
    told = _loaded(payload)
    if not isinstance(told, dict):
        raise BadMessage("no object")
    return told
