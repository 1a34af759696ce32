"""The loudness of a recording over time, from which a waveform can be drawn without the audio.

The recording is divided into intervals of equal length, each represented by its lowest and highest sample as signed
bytes. At most `MOST` intervals are kept: beyond that, each two are merged into one, so that a minute and a day take the
same memory.
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
    """The minimum (`low`) and maximum (`high`) of each interval, -128 to 127."""

    samples: int
    stretch_samples: int
    low: bytes
    high: bytes

    @property
    def duration_ms(self) -> int:
        """The length of the recording in milliseconds."""
        return self.samples * 1000 // RATE

    def dump(self) -> bytes:
        """Serialize for storage: a line of JSON, then the bytes."""
        head = {"samples": self.samples, "stretch_samples": self.stretch_samples, "stretches": len(self.low)}
        return json.dumps(head).encode() + b"\n" + self.low + self.high

    @classmethod
    def load(cls, content: bytes) -> Peaks:
        """Parse the output of `dump`."""
        line, _, rest = content.partition(b"\n")
        head = json.loads(line)
        count = head["stretches"]
        return cls(head["samples"], head["stretch_samples"], rest[:count], rest[count : 2 * count])

    def drawn(self, most: int) -> tuple[int, list[int]]:
        """Return at most `most` intervals: the samples per interval, and alternating low and high values."""
        width = -(-len(self.low) // most) or 1
        places = range(0, len(self.low), width)
        data = [0] * (2 * len(places))
        data[0::2] = [min(self.low[place : place + width]) - SILENCE for place in places]
        data[1::2] = [max(self.high[place : place + width]) - SILENCE for place in places]
        return self.stretch_samples * width, data


class Meter:
    """Collects the peaks of decoded samples, which are unsigned bytes at `RATE`."""

    def __init__(self) -> None:
        self._width = FIRST_SAMPLES
        self._low = bytearray()
        self._high = bytearray()
        self._rest = b""
        self._samples = 0

    def take(self, samples: bytes) -> None:
        """Add the next samples."""
        self._samples += len(samples)
        ready = self._rest + samples
        place = 0
        while place + self._width <= len(ready):
            # The interval may double on the way; the remaining samples then use the wider one.
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
        """Return the peaks of all samples added."""
        if self._rest:
            self._add(self._rest)
            self._rest = b""
        return Peaks(self._samples, self._width, bytes(self._low), bytes(self._high))
