"""How loud a recording is at each moment: what is drawn of it without having it.

The time is cut into stretches of the same length, and of each the lowest and the highest sample are kept, as signed
bytes. Kept are at most `MOST` stretches: when there are more, each two become one, so that a minute and a day take
the same memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

RATE = 8000
MOST = 16_384
FIRST_SAMPLES = 80
SILENCE = 128


@dataclass(frozen=True, slots=True)
class Peaks:
    """`low` and `high` of each stretch of so many samples; -128 to 127."""

    samples: int
    stretch_samples: int
    low: bytes
    high: bytes

    @property
    def duration_ms(self) -> int:
        """The length of the recording."""
        return self.samples * 1000 // RATE

    def dump(self) -> bytes:
        """As it is stored: a line of JSON, then the bytes."""
        head = {"samples": self.samples, "stretch_samples": self.stretch_samples, "stretches": len(self.low)}
        return json.dumps(head).encode() + b"\n" + self.low + self.high

    @classmethod
    def load(cls, content: bytes) -> Peaks:
        """What `dump` made."""
        line, _, rest = content.partition(b"\n")
        head = json.loads(line)
        count = head["stretches"]
        return cls(head["samples"], head["stretch_samples"], rest[:count], rest[count : 2 * count])

    def drawn(self, most: int) -> tuple[int, list[int]]:
        """So many stretches at most: the samples of each, and low and high of each in turn."""
        width = -(-len(self.low) // most) or 1
        places = range(0, len(self.low), width)
        data = [0] * (2 * len(places))
        data[0::2] = [min(self.low[place : place + width]) - SILENCE for place in places]
        data[1::2] = [max(self.high[place : place + width]) - SILENCE for place in places]
        return self.stretch_samples * width, data


class Meter:
    """Takes samples as they are decoded, unsigned bytes at `RATE`, and keeps their peaks."""

    def __init__(self) -> None:
        self._width = FIRST_SAMPLES
        self._low = bytearray()
        self._high = bytearray()
        self._rest = b""
        self._samples = 0

    def take(self, samples: bytes) -> None:
        """The next samples."""
        self._samples += len(samples)
        ready = self._rest + samples
        place = 0
        while place + self._width <= len(ready):
            # The width may double on the way: then the rest goes on in wider steps.
            for piece in self._pieces(ready, place):
                place += len(piece)
                self._add(piece)
                if len(self._low) >= MOST:
                    self._halve()
                    break
        self._rest = ready[place:]

    def _pieces(self, ready: bytes, place: int) -> Iterator[bytes]:
        width = self._width
        for start in range(place, len(ready) - width + 1, width):
            yield ready[start : start + width]

    def _add(self, piece: bytes) -> None:
        self._low.append(min(piece))
        self._high.append(max(piece))

    def _halve(self) -> None:
        self._low = bytearray(map(min, self._low[0::2], self._low[1::2]))
        self._high = bytearray(map(max, self._high[0::2], self._high[1::2]))
        self._width *= 2

    def done(self) -> Peaks:
        """The peaks of all that was taken."""
        if self._rest:
            self._add(self._rest)
            self._rest = b""
        return Peaks(self._samples, self._width, bytes(self._low), bytes(self._high))
