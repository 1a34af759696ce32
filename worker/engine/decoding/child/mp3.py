"""Encodes samples to mp3 for browsers: constant bit rate and no index, so that every second is at its exact offset."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame

from worker.engine.decoding.child.resample import Samples

BIT_RATE = 64_000
# LAME's encoder delay plus the decoder delay, which a player would learn only from a LAME tag: instead, as many samples
# are dropped at the beginning, so that everything after them is at the right time.
DELAY_SAMPLES = 576 + 529


class Mp3:
    """Encodes blocks [channels, n] of one or two channels to the bytes of a file."""

    def __init__(self, channels: int, rate: int) -> None:
        self._layout, self._rate = ("mono", "stereo")[channels - 1], rate
        self._codec = av.CodecContext.create("libmp3lame", "w")
        self._codec.sample_rate, self._codec.layout, self._codec.format = rate, self._layout, "fltp"
        self._codec.bit_rate, self._codec.time_base = BIT_RATE, Fraction(1, rate)
        self._codec.open()
        self._rest = np.zeros((channels, 0), np.float32)
        self._skip = DELAY_SAMPLES
        self._pts = 0

    def encode(self, block: Samples) -> Iterator[bytes]:
        """Encode the next samples."""
        skipped = min(self._skip, block.shape[1])
        self._skip -= skipped
        ready = np.concatenate([self._rest, block[:, skipped:]], axis=1)
        size = self._codec.frame_size
        for start in range(0, ready.shape[1] - size + 1, size):
            yield from self._packets(ready[:, start : start + size])
        self._rest = ready[:, ready.shape[1] // size * size :]

    def finish(self) -> Iterator[bytes]:
        """Finish the file; a decoder holds back as many samples as were dropped at the beginning."""
        if self._pts or self._rest.size:
            yield from self.encode(np.zeros((self._rest.shape[0], DELAY_SAMPLES + self._codec.frame_size), np.float32))
            yield from (bytes(packet) for packet in self._codec.encode(None))

    def _packets(self, samples: Samples) -> Iterator[bytes]:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._pts, Fraction(1, self._rate)
        self._pts += samples.shape[1]
        yield from (bytes(packet) for packet in self._codec.encode(frame))
