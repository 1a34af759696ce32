"""Detect a recording's media type from its bytes, and whether browsers play it; names and claims are not trusted."""

from __future__ import annotations

import struct
from collections.abc import Callable

HEAD_BYTES = 4096
MOOV_BYTES = 8 * 1024 * 1024
BOXES = 64
# RIFF's codes for PCM, float, and "see the extension", which is nearly always one of them.
WAV_FORMATS = {1, 3, 0xFFFE}
Read = Callable[[int, int], bytes]


def media_type(read: Read, size: int) -> str | None:
    """Return the media type to serve; None for formats that browsers do not play. `read(start, end)` returns bytes."""
    head = read(0, min(HEAD_BYTES, size))
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _wav(head)
    if head[:4] == b"fLaC":
        return "audio/flac"
    if head[:4] == b"OggS":
        known = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC")
        return "audio/ogg" if any(name in head[:512] for name in known) else None
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "audio/webm" if b"webm" in head[:64] else None
    if head[4:8] == b"ftyp":
        return _mp4(read, size)
    if head[:3] == b"ID3":
        return _behind_tags(read, head, size)
    return _frames(head)


def _wav(head: bytes) -> str | None:
    place = head.find(b"fmt ", 12)
    if place < 0 or len(head) < place + 10:
        return None
    return "audio/wav" if struct.unpack_from("<H", head, place + 8)[0] in WAV_FORMATS else None


def _behind_tags(read: Read, head: bytes, size: int) -> str | None:
    """Skip ID3 tags, which may contain pictures and precede the audio of mp3 and, rarely, of other formats."""
    length = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    if length >= size:
        return None
    return _frames(read(length, min(length + HEAD_BYTES, size)).lstrip(b"\0")) or (
        "audio/flac" if read(length, length + 4) == b"fLaC" else None
    )


def _frames(head: bytes) -> str | None:
    """Recognize mp3 and raw AAC, whose frames begin with eleven or twelve 1 bits."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    usual = head[1] >> 3 & 3 != 1 and rate != 15 and frequency != 3
    return "audio/mpeg" if layer == 1 and usual else None


def _mp4(read: Read, size: int) -> str | None:
    """Decide by the audio codec: 3gp files carry AMR in the same boxes."""
    place = 0
    for _ in range(BOXES):
        header = read(place, min(place + 16, size))
        if len(header) < 8:
            return None
        length, name = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if name == b"moov":
            return _codec(read(place, min(place + min(length, MOOV_BYTES), size)))
        if length < 8:
            return None
        place += length
    return None


def _codec(moov: bytes) -> str | None:
    place = moov.find(b"stsd")
    while place >= 0:
        if moov[place + 16 : place + 20] == b"mp4a":
            return "audio/mp4"
        place = moov.find(b"stsd", place + 4)
    return None
