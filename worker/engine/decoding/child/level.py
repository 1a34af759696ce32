"""Level adjustment before recognition, by a rule that depends only on the file.

Audio at a normal level passes through unchanged, to the sample. A recording whose loudest sections are very quiet is
amplified as a whole, by the gain that its beginning (up to an hour) needs; audio above full scale, which float
formats can hold, is attenuated locally, with a gain that recovers slowly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from common.transcript.recording import WarningCode
from worker.engine.decoding.child.resample import Samples
from worker.engine.decoding.child.timeline import Warnings

LOOK_SECONDS = 3600
STEPS_PER_SECOND = 10
# A recording is quiet while too few tenths of a second are louder than this (-46 dBFS).
QUIET = 0.005
LOUD_STEPS = 3
TARGET = 0.1
# Only digital silence and its dither are below this (-90 dBFS).
NOTHING = 3e-5
MOST_GAIN = 1000.0
# Codecs slightly overshoot full scale; clipping within this range is inaudible (1 dB).
OVERSHOOT = 1.12
CEILING = 0.98
RECOVERY = 10 ** (0.5 / 20)  # per second
FADE_SECONDS = 0.02


def gains(blocks: Iterable[Samples], rate: int, channels: int) -> npt.NDArray[np.float32]:
    """The gain of each channel, from blocks [channels, n]; stops reading once all channels are loud enough."""
    loudest: npt.NDArray[np.float64] = np.zeros((channels, LOUD_STEPS))
    step = rate // STEPS_PER_SECOND
    read = 0
    for block in blocks:
        read += block.shape[1]
        count = block.shape[1] // step
        if count:
            pieces = block[:, : count * step].reshape(channels, count, step)
            levels = np.sqrt(np.mean(np.square(pieces, dtype=np.float64), axis=2))
            loudest = np.sort(np.concatenate([loudest, levels], axis=1), axis=1)[:, -LOUD_STEPS:]
        if read >= LOOK_SECONDS * rate or bool((loudest[:, 0] >= QUIET).all()):
            break
    level = loudest[:, 0]
    quiet = (level < QUIET) & (level > NOTHING)
    gain = np.where(quiet, np.minimum(MOST_GAIN, TARGET / np.maximum(level, NOTHING)), 1.0)
    return gain.astype(np.float32)


class Leveller:
    """Applies the gains to blocks of one second and keeps loud passages below full scale."""

    def __init__(self, gains: npt.NDArray[np.float32], rate: int, warnings: Warnings) -> None:
        self._gains, self._rate, self._warnings = gains[:, None], rate, warnings
        self._raised = bool((gains != 1.0).any())
        self._limit: npt.NDArray[np.float32] = np.ones((len(gains), 1), np.float32)
        self._done = 0

    def levelled(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """The blocks [channels, n], within -1 to 1 but for small overshoots; each is held until the next is known."""
        held: Samples | None = None
        before, now = self._limit, self._limit
        for block in blocks:
            amplified = np.asarray(block * self._gains, np.float32) if self._raised else block
            following = self._wanted(amplified)
            if held is not None:
                yield self._limited(held, before, now, following)
            held, before, now = amplified, now, following
        if held is not None:
            yield self._limited(held, before, now, now)

    def _wanted(self, block: Samples) -> npt.NDArray[np.float32]:
        """The gain that a block needs, rising slowly from that of the previous block."""
        start, self._done = self._done, self._done + block.shape[1]
        peaks = np.abs(block).max(1, keepdims=True)
        if not self._raised and bool((peaks > OVERSHOOT).any()):
            self._warnings.add(WarningCode.LEVEL_LOWERED, start / self._rate, self._done / self._rate)
        needed = np.where(peaks > OVERSHOOT, CEILING / np.maximum(peaks, CEILING), 1.0)
        self._limit = np.minimum(needed, np.minimum(1.0, self._limit * RECOVERY)).astype(np.float32)
        return self._limit

    def _limited(
        self,
        block: Samples,
        before: npt.NDArray[np.float32],
        now: npt.NDArray[np.float32],
        following: npt.NDArray[np.float32],
    ) -> Samples:
        """Lower the gain at the end of the block before a loud one and raise it at the beginning of the block after."""
        if bool((before == 1.0).all() and (now == 1.0).all() and (following == 1.0).all()):
            return block
        fade = min(block.shape[1] // 2, int(FADE_SECONDS * self._rate))
        gain = np.broadcast_to(now, block.shape).copy()
        if fade:
            gain[:, :fade] = np.linspace(np.minimum(before, now)[:, 0], now[:, 0], fade, dtype=np.float32).T
            gain[:, -fade:] = np.linspace(now[:, 0], np.minimum(now, following)[:, 0], fade, dtype=np.float32).T
        return np.asarray(block * gain, np.float32)


def pcm16(block: Samples) -> npt.NDArray[np.int16]:
    """Float [channels, n] as interleaved int16 [n, channels]; audio that was int16 is unchanged."""
    scaled: Samples = np.rint(block.T * np.float32(32768.0))
    return np.clip(scaled, -32768, 32767).astype(np.int16)
