"""The length in an mp3's first frame (Xing, Info or VBRI), and whether it belongs to this file.

Encoders write the tag when they finish. Programs that cut or join files leave it as it was, so it is a claim.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

SEARCHED_BYTES = 512
HAS_FRAMES, HAS_BYTES = 1, 2
# The libraries estimate the length by the bit rate where a file is longer than its tag says by more than this share.
LONGER = 1 / 16
# Encoders differ in what they count, such as the frame of the tag itself: two of the largest frames.
SLACK_BYTES = 2 * 1441


@dataclass(frozen=True, slots=True)
class LengthTag:
    """What the tag means for the file. frames: it has a number of frames, and the libraries use it.

    whole: the file has all the bytes that the encoder counted; None if the tag has no number of bytes.
    """

    frames: bool
    whole: bool | None


NO_TAG = LengthTag(False, None)


def length_tag(read: Callable[[int, int], bytes], end: int) -> LengthTag:
    """Read the tag of a file whose audio ends at `end`; `read` returns bytes of (place, count)."""
    start = _after_id3(read(0, 10))
    frame = read(start, SEARCHED_BYTES)
    if frame[:1] != b"\xff":
        return NO_TAG
    frames, size = _numbers(frame)
    if not size:
        return LengthTag(bool(frames), None)
    audio = end - start
    if audio - size > size * LONGER:
        return NO_TAG
    return LengthTag(bool(frames), size - audio <= SLACK_BYTES)


def _after_id3(head: bytes) -> int:
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _numbers(frame: bytes) -> tuple[int, int]:
    """The numbers of frames and of bytes; 0 where the tag has none."""
    for name in (b"Xing", b"Info"):
        place = frame.find(name)
        if place >= 0:
            flags, *numbers = struct.unpack(">III", frame[place + 4 : place + 16].ljust(12, b"\0"))
            frames = numbers.pop(0) if flags & HAS_FRAMES else 0
            return frames, numbers[0] if flags & HAS_BYTES else 0
    place = frame.find(b"VBRI")
    if place >= 0:
        size, frames = struct.unpack(">II", frame[place + 10 : place + 18].ljust(8, b"\0"))
        return frames, size
    return 0, 0
