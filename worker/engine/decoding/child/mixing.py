"""Maps input channels to the audio to recognise: mixed so that speech survives, or split if channels are speakers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from common.transcript.recording import WarningCode
from worker.engine.decoding.child.resample import Samples
from worker.engine.decoding.child.timeline import Warnings

# Two channels, one of them silent, mix to half the level; below this ratio they cancel each other out.
CANCELLED = 0.35
# Anything quieter is silence, whatever the channels do (-80 dBFS).
SILENT = 1e-4
FADE_SECONDS = 0.02
# How much of the recording channels=auto examines.
AUTO_SECONDS = 600
# A channel is the speaking one if it is this much louder (12 dB).
DOMINANT = 4.0
LEAST_SHARE = 0.1


class Mixer:
    """Mixes float blocks [channels, n] to [1, n]. Keeps state between blocks, which are one second long."""

    def __init__(self, rate: int, warnings: Warnings) -> None:
        self._rate, self._warnings = rate, warnings
        self._source: int | None = None  # None: all channels
        self._done = 0

    def mix(self, block: Samples) -> Samples:
        """Mix the next block."""
        start, self._done = self._done, self._done + block.shape[1]
        if block.shape[0] == 1:
            return block
        mixed = block.mean(0, dtype=np.float32)
        levels = np.sqrt(np.mean(np.square(block, dtype=np.float64), axis=1))
        loudest = int(levels.argmax())
        threshold = min(CANCELLED, 0.9 / block.shape[0])
        source = self._source
        if levels[loudest] < SILENT:
            source = self._source
        elif np.sqrt(np.mean(np.square(mixed, dtype=np.float64))) < threshold * levels[loudest]:
            # Stay with a channel that is about as loud, to avoid switching back and forth.
            stays = self._source is not None and levels[self._source] > 0.5 * levels[loudest]
            source = self._source if stays else loudest
            self._warnings.add(WarningCode.CHANNELS_CANCEL, start / self._rate, self._done / self._rate)
        else:
            source = None
        out = _pick(block, mixed, source)
        if source != self._source:
            fade = min(len(out), int(FADE_SECONDS * self._rate))
            ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
            before = _pick(block, mixed, self._source)
            out = out.copy()
            out[:fade] = before[:fade] * (1 - ramp) + out[:fade] * ramp
            self._source = source
        return out[None]


def _pick(block: Samples, mixed: Samples, source: int | None) -> Samples:
    return mixed if source is None else block[source]


def carries_speakers(blocks: Iterable[Samples]) -> bool:
    """Whether two channels are two speakers: each is much louder than the other for a good part of the time.

    If both carry the same audio, or one room recorded by two microphones, neither dominates.
    """
    alone = np.zeros(2, np.int64)
    active = 0
    for block in blocks:
        if block.shape[0] != 2:
            return False
        step = max(1, block.shape[1] // 10)
        count = block.shape[1] // step
        pieces = block[:, : count * step].reshape(2, count, step)
        levels = np.sqrt(np.mean(np.square(pieces, dtype=np.float64), axis=2))
        loud = levels.max(0) > 10 * SILENT
        active += int(loud.sum())
        for channel in (0, 1):
            alone[channel] += int((loud & (levels[channel] > DOMINANT * levels[1 - channel])).sum())
    return active > 0 and alone.min() >= LEAST_SHARE * active and alone.sum() >= 0.5 * active
