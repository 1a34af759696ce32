"""Voice prints: how a speaker sounds in one recording, as one vector, and how alike two of them are.

The vectors are means of a speaker model's embeddings (`worker.engine.speakers.prints`); only those of the same speaker
model can be compared. A voice print is biometric data: it must not be logged or sent to clients.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import mul

BYTES_PER_VALUE = 4
LENGTH_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class VoicePrint:
    """A unit vector, and the milliseconds of speech that it rests on. `repr` does not show the vector."""

    vector: tuple[float, ...] = field(repr=False)
    speech_ms: int

    @property
    def usable(self) -> bool:
        """Whether it says anything: it has a length of 1, and no value that is no number."""
        return abs(math.fsum(map(mul, self.vector, self.vector)) - 1.0) < LENGTH_ERROR

    def packed(self) -> bytes:
        """Return the vector as float32, little-endian."""
        return struct.pack(f"<{len(self.vector)}f", *self.vector)


def unpacked(stored: bytes, speech_ms: int) -> VoicePrint:
    """Return the print of a vector that was `packed`."""
    return VoicePrint(struct.unpack(f"<{len(stored) // BYTES_PER_VALUE}f", stored), speech_ms)


def unit_print(vector: Sequence[float], speech_ms: int) -> VoicePrint:
    """Return the print of a vector of any length; one without length is like no other."""
    length = math.sqrt(sum(map(mul, vector, vector))) or 1.0
    return VoicePrint(tuple(value / length for value in vector), speech_ms)


def combined(prints: Iterable[VoicePrint]) -> VoicePrint:
    """Return the mean of prints of one voice, each weighted by its speech; at least one."""
    listed = list(prints)
    if len(listed) == 1:
        return listed[0]
    weighted = [[value * item.speech_ms for value in item.vector] for item in listed]
    return unit_print([sum(values) for values in zip(*weighted, strict=True)], sum(item.speech_ms for item in listed))


def similarity(one: VoicePrint, other: VoicePrint) -> float:
    """Return the cosine of two prints of one speaker model, -1 to 1."""
    return math.fsum(map(mul, one.vector, other.vector))
