"""The messages from the decoding child to its parent: framed, with fields that are validated and bounded here.

The child reads untrusted files, so the parent uses no message that has not passed through `parse_…`.
"""

from __future__ import annotations

import json
import struct
import unicodedata
from dataclasses import asdict, dataclass
from typing import Any

from common.transcript.recording import AudioTrack, RecordingWarning

FRAME = struct.Struct("<cI")
# ALIVE is sent while a long recording is scanned before its first sample.
HEAD, SOUND, WARNING, FAILURE, END, ALIVE = b"H", b"S", b"W", b"F", b"E", b"A"
MOST_BYTES = {HEAD: 1 << 18, SOUND: 1 << 24, WARNING: 1 << 18, FAILURE: 1 << 14, END: 1 << 14, ALIVE: 0}
MOST_MS = 1 << 40
MOST_TRACKS = 64
MOST_WARNINGS = 500
MAX_CHANNELS = 64
TEXT_LENGTH = 300


class BadMessage(Exception):
    """The child violated the protocol: it crashed, or a malicious file took control of it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known before the first sample.

    declared_ms: the length that the file states, or None; exact: whether that length is reliable.
    """

    channels: int
    declared_ms: int | None
    exact: bool
    tracks: tuple[AudioTrack, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no audio: the code of an error in `common.errors`, and a sentence."""

    code: str
    message: str


def frame(kind: bytes, payload: bytes) -> bytes:
    """Encode a message for the pipe."""
    return FRAME.pack(kind, len(payload)) + payload


def dump(value: Head | Failure | RecordingWarning) -> bytes:
    """Encode the payload of a message other than audio."""
    return json.dumps(asdict(value)).encode("ascii")


def parse_head(payload: bytes) -> Head:
    """Raises BadMessage."""
    fields = _object(payload)
    tracks = fields.get("tracks")
    if not isinstance(tracks, list) or not 1 <= len(tracks) <= MOST_TRACKS:
        raise BadMessage("no tracks")
    declared = fields.get("declared_ms")
    return Head(
        channels=whole(fields.get("channels"), 1, MAX_CHANNELS),
        declared_ms=None if declared is None else whole(declared, 0, MOST_MS),
        exact=fields.get("exact") is True,
        tracks=tuple(_track(item) for item in tracks),
    )


def parse_warnings(payload: bytes) -> tuple[RecordingWarning, ...]:
    """All warnings so far. Raises BadMessage."""
    items = _loaded(payload)
    if not isinstance(items, list) or len(items) > MOST_WARNINGS:
        raise BadMessage("no list of warnings")
    return tuple(_warning(item) for item in items)


def _warning(fields: Any) -> RecordingWarning:
    if not isinstance(fields, dict):
        raise BadMessage("no warning")
    start, end = (
        None if fields.get(name) is None else whole(fields[name], 0, MOST_MS) for name in ("start_ms", "end_ms")
    )
    return RecordingWarning(text(fields.get("code")), text(fields.get("message")), start, end)


def parse_failure(payload: bytes) -> Failure:
    """Raises BadMessage."""
    fields = _object(payload)
    return Failure(text(fields.get("code")), text(fields.get("message")))


def text(value: object, most: int = TEXT_LENGTH) -> str:
    """A string without control characters and lone surrogates, which databases and terminals reject."""
    if not isinstance(value, str):
        raise BadMessage("no text")
    return "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in value[:most]).strip()


def whole(value: object, least: int, most: int) -> int:
    """An integer, clamped to its bounds. Raises BadMessage for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadMessage("no whole number")
    return max(least, min(most, value))


def _track(fields: Any) -> AudioTrack:
    if not isinstance(fields, dict):
        raise BadMessage("no track")
    language, title = fields.get("language"), fields.get("title")
    return AudioTrack(
        index=whole(fields.get("index"), 0, 1 << 16),
        codec=text(fields.get("codec"), 40),
        channels=whole(fields.get("channels"), 0, 1 << 16),
        sample_rate=whole(fields.get("sample_rate"), 0, 1 << 30),
        language=None if language is None else text(language, 20) or None,
        title=None if title is None else text(title, 100) or None,
        default=fields.get("default") is True,
        transcribed=fields.get("transcribed") is True,
    )


def _loaded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadMessage("no JSON") from error


def _object(payload: bytes) -> dict[str, Any]:
    value = _loaded(payload)
    if not isinstance(value, dict):
        raise BadMessage("no object")
    return value
