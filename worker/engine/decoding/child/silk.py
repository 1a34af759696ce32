"""Voice messages of WeChat and QQ: packets of the SILK codec, each preceded by its length, without timestamps.

FFmpeg's libraries do not know the format. The codec's own decoder comes with the package `silk-python`; its function
for whole files decodes only the first frame of a packet and stops at the first damaged one, so packets are decoded
here one at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from pysilk.backends.cffi._silk import ffi, lib

from common.errors import AudioNotDecodable
from common.transcript.recording import AudioTrack
from worker.engine.decoding.child.container import Damage, Event, Heard, Slice
from worker.engine.decoding.child.structure import SILK

RATE = 24_000
FRAME_SAMPLES = RATE // 50
# Limits of the codec (SKP_Silk_define.h): bytes of a packet, and frames of 20 ms in it.
MOST_PACKET_BYTES = 1024
MOST_FRAMES = 5


class Silk:
    """An opened SILK file, with the interface of `container.Sound`."""

    format = "silk"
    exact = bare = False
    start_seconds = 0.0

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self._file = Slice(descriptor, start, end)
        self.left_over = False

    def tracks(self) -> tuple[AudioTrack, ...]:
        """The one track."""
        return (AudioTrack(0, "silk", 1, RATE, language=None, title=None, default=True),)

    def stated_seconds(self, _track: int) -> float | None:
        """None: the format states no length."""
        return None

    def lengths(self, _track: int) -> Iterator[float]:
        """The seconds up to the end of each packet, if each holds one frame."""
        return ((number + 1) * FRAME_SAMPLES / RATE for number, _ in enumerate(self._packets()))

    def events(self, _track: int) -> Iterator[Event]:
        """The frames and damaged packets, in order."""
        decoder = _Decoder()
        seconds, usual = 0.0, 0
        for packet in self._packets():
            samples = decoder.decode(packet)
            # All packets of a file hold the same number of frames; noise in place of one may claim any.
            usual = usual or (samples.size if packet else 0)
            if samples.size and samples.size == usual:
                yield Heard(_frame(samples), seconds)
            else:
                yield Damage()
            seconds += (usual or FRAME_SAMPLES) / RATE

    def close(self) -> None:
        """Nothing to close: the descriptor belongs to the caller."""

    def _packets(self) -> Iterator[bytes]:
        """The packets up to the end of the file, or to the mark that some encoders write there."""
        self._file.seek(0)
        head = self._file.read(max(map(len, SILK)))
        self._file.seek(next(len(magic) for magic in SILK if head.startswith(magic)))
        while prefix := self._file.read(2):
            length = struct.unpack("<h", prefix)[0] if len(prefix) == 2 else 0
            if length < 0:
                return
            packet = self._file.read(length)
            if len(prefix) < 2 or len(packet) < length or length > MOST_PACKET_BYTES:
                self.left_over = True
                return
            yield packet


class _Decoder:
    """The codec's decoder, whose state goes from packet to packet."""

    def __init__(self) -> None:
        size = ffi.new("int32_t *")
        lib.SKP_Silk_SDK_Get_Decoder_Size(size)
        self._state = ffi.new("uint8_t[]", size[0])
        if lib.SKP_Silk_SDK_InitDecoder(self._state) != 0:
            raise AudioNotDecodable("the SILK decoder does not start")
        self._control = ffi.new("SKP_SILK_SDK_DecControlStruct *")
        self._control.API_sampleRate = RATE
        self._control.framesPerPacket = 1
        self._out = ffi.new("int16_t[]", 2 * FRAME_SAMPLES)
        self._count = ffi.new("int16_t *")

    def decode(self, packet: bytes) -> np.ndarray:
        """Return the samples of a packet, int16 [n]; none if it is damaged. An empty packet means that one was lost."""
        pieces: list[np.ndarray] = [np.zeros(0, np.int16)]
        lost = not packet
        for _ in range(self._control.framesPerPacket if lost else MOST_FRAMES):
            if self._step(packet, lost=lost) != 0:
                return pieces[0]
            pieces.append(self._samples())
            if not lost and not self._control.moreInternalDecoderFrames:
                break
        return np.concatenate(pieces)

    def _step(self, packet: bytes, *, lost: bool) -> int:
        status: int = lib.SKP_Silk_SDK_Decode(
            self._state, self._control, int(lost), packet, len(packet), self._out, self._count
        )
        return status

    def _samples(self) -> np.ndarray:
        count = max(0, min(self._count[0], 2 * FRAME_SAMPLES))
        samples: Any = np.frombuffer(ffi.buffer(self._out), np.int16, count)
        return np.array(samples)


def _frame(samples: np.ndarray) -> AudioFrame:
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
    frame.sample_rate = RATE
    return frame
