"""The decoding child process: reads the file on standard input and writes messages to standard output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import av
import numpy as np

from common.errors import AudioEmpty, AudioNotDecodable, AudioTruncated, ParaqueueError
from common.transcript.recording import AudioTrack, WarningCode
from worker.engine.decoding import messages
from worker.engine.decoding.child import mixing
from worker.engine.decoding.child.container import Sound, chosen
from worker.engine.decoding.child.identify import HEAD_BYTES, named
from worker.engine.decoding.child.level import Leveller, gains, pcm16
from worker.engine.decoding.child.mp3 import Mp3
from worker.engine.decoding.child.reader import File, TrackReader
from worker.engine.decoding.child.resample import Samples
from worker.engine.decoding.child.silk import Silk
from worker.engine.decoding.child.structure import inspect
from worker.engine.decoding.child.timeline import Warnings
from worker.engine.decoding.messages import ALIVE, END, FAILURE, HEAD, SOUND, WARNING, Failure, Head

RATE = 16_000
STDIN, STDOUT = 0, 1
ALIVE_PACKETS = 10_000


def main(order: dict[str, Any]) -> None:
    """Carry out the order; the last message reports the outcome."""
    av.logging.set_level(None)
    try:
        _serve(order)
        _write(END, b"{}")
    except ParaqueueError as error:
        _write(FAILURE, messages.dump(Failure(error.code, error.message)))


def _serve(order: dict[str, Any]) -> None:
    size = os.fstat(STDIN).st_size
    if size == 0:
        raise AudioEmpty("the file has no bytes")
    if (no_recording := named(os.pread(STDIN, HEAD_BYTES, 0), size)) is not None:
        raise no_recording
    file = File(STDIN, inspect(STDIN, size))
    if file.structure.index_missing:
        raise AudioTruncated("the recording broke off before its index (moov) was written; nothing can be decoded")
    probe = file.opened(file.structure.links[0])
    try:
        tracks = probe.tracks()
        selected = chosen(tracks, order["track"])
        estimated = probe.bare and not file.structure.length_stated
        stated = None if estimated else probe.stated_seconds(selected[0])
        declared_ms = round(stated * 1000) if stated is not None and stated >= 0 else None
        exact = (probe.exact or file.structure.length_stated) and not file.structure.length_wrong
        if exact and order["limit_ms"] is not None and (declared_ms or 0) > order["limit_ms"]:
            exact = _lasts(probe, selected[0], order["limit_ms"] / 1000)
    finally:
        probe.close()
    tracks = tuple(replace(track, transcribed=track.index in selected) for track in tracks)
    work = {"pcm": _pcm, "mp3": _mp3, "peaks": _peaks}[order["form"]]
    work(file, tracks, selected, order, (declared_ms, exact))


def _lasts(probe: Sound | Silk, track: int, seconds: float) -> bool:
    """Whether a track has more than `seconds` seconds of packets: a header alone must not fail a file."""
    for number, length in enumerate(probe.lengths(track)):
        if length > seconds:
            return True
        if number % ALIVE_PACKETS == ALIVE_PACKETS - 1:
            _write(ALIVE, b"")
    return False


def _pcm(
    file: File,
    tracks: tuple[AudioTrack, ...],
    selected: tuple[int, ...],
    order: dict[str, Any],
    length: tuple[Any, Any],
) -> None:
    """Write int16 at 16 kHz, each block preceded by the warnings known so far."""
    source = _Source(file, tracks, selected, order["channels"])
    channels, scale = source.measured()
    _write(HEAD, messages.dump(Head(channels, *length, tracks)))
    warnings = Warnings()
    if len(selected) < len(tracks):
        warnings.add_whole(WarningCode.TRACKS_NOT_HEARD)
    if file.structure.length_wrong:
        warnings.add_whole(WarningCode.LENGTH_WRONG)
    if bool((scale != 1.0).any()):
        warnings.add_whole(WarningCode.LEVEL_RAISED)
    leveller = Leveller(scale, RATE, warnings)
    sent: list[bytes] = []
    samples = 0
    for block in leveller.levelled(source.blocks(warnings)):
        samples += block.shape[1]
        _write(SOUND, pcm16(block).tobytes())
        sent = _tell(warnings, sent)
    if samples == 0:
        raise AudioEmpty("the audio track has no samples")
    _tell(warnings, sent)


def _tell(warnings: Warnings, sent: list[bytes]) -> list[bytes]:
    """Write the whole list of warnings whenever it has changed, because a warning may be extended."""
    now = [messages.dump(warning) for warning in warnings.all()]
    if now != sent:
        _write(WARNING, b"[" + b",".join(now) + b"]")
    return now


def _mp3(
    file: File,
    tracks: tuple[AudioTrack, ...],
    selected: tuple[int, ...],
    order: dict[str, Any],
    length: tuple[Any, Any],
) -> None:
    """Write mp3 for browsers, on the same clock; several tracks are mixed."""
    rate = order["rate"]
    stereo = len(selected) == 1 and tracks[selected[0]].channels > 1
    encoder = Mp3(2 if stereo else 1, rate)
    _write(HEAD, messages.dump(Head(2 if stereo else 1, *length, tracks)))
    for block in _for_ears(file, selected, order, "stereo" if stereo else "mono"):
        for piece in encoder.encode(np.clip(block, -1.0, 1.0)):
            _write(SOUND, piece)
    for piece in encoder.finish():
        _write(SOUND, piece)


def _peaks(
    file: File,
    tracks: tuple[AudioTrack, ...],
    selected: tuple[int, ...],
    order: dict[str, Any],
    length: tuple[Any, Any],
) -> None:
    """Write peaks: unsigned bytes of one channel; silence is 128."""
    _write(HEAD, messages.dump(Head(1, *length, tracks)))
    mixer = mixing.Mixer(order["rate"], Warnings())
    for block in _for_ears(file, selected, order, None):
        mixed = mixer.mix(block)[0]
        _write(SOUND, (np.clip(np.rint(mixed * 128.0), -128, 127) + 128).astype(np.uint8).tobytes())


def _for_ears(file: File, selected: tuple[int, ...], order: dict[str, Any], layout: str | None) -> Iterator[Samples]:
    """Blocks of one second, up to the maximum allowed length."""
    rate, most = order["rate"], order["most_seconds"]
    readers = [TrackReader(file, track, rate, Warnings(), layout) for track in selected]
    blocks = [reader.blocks(rate) for reader in readers]
    sounds = blocks[0]
    if len(blocks) > 1:
        mixers = [mixing.Mixer(rate, Warnings()) for _ in blocks]
        mono = [map(mixer.mix, track) for mixer, track in zip(mixers, blocks, strict=True)]
        sounds = (block.mean(0, keepdims=True, dtype=np.float32) for block in _together(mono))
    return islice(sounds, most)


class _Source:
    """The audio to recognise, as blocks of one second; it can be read repeatedly."""

    def __init__(self, file: File, tracks: tuple[AudioTrack, ...], selected: tuple[int, ...], channels: str) -> None:
        self._file, self._heard = file, selected
        self._split = channels == "split" and len(selected) == 1
        if channels == "auto" and len(selected) == 1 and tracks[selected[0]].channels == 2:
            blocks = self._looked_through(self._track(selected[0], Warnings()))
            self._split = mixing.carries_speakers(islice(blocks, mixing.AUTO_SECONDS))

    def measured(self) -> tuple[int, np.ndarray]:
        """The number of output channels, and the gain of each."""
        blocks = self._looked_through(self.blocks(Warnings()))
        first = next(blocks, None)
        if first is None:
            raise _nothing(self._file)
        count = first.shape[0]
        if count > messages.MAX_CHANNELS:
            raise AudioNotDecodable(f"the sound has {count} channels")
        return count, gains(_with(first, blocks), RATE, count)

    def blocks(self, warnings: Warnings) -> Iterator[Samples]:
        """Blocks [channels, n] of one second, from the beginning."""
        if len(self._heard) == 1:
            blocks = self._track(self._heard[0], warnings)
            return blocks if self._split else self._mixed(blocks, warnings)
        # Only the warnings of the first track are kept: the other tracks of a file break in the same places.
        return _together(
            [
                self._mixed(self._track(track, track_warnings), track_warnings)
                for track, track_warnings in zip(
                    self._heard, [warnings, *(Warnings() for _ in self._heard[1:])], strict=True
                )
            ]
        )

    def _track(self, track: int, warnings: Warnings) -> Iterator[Samples]:
        return TrackReader(self._file, track, RATE, warnings).blocks(RATE)

    def _looked_through(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        """Pass the blocks through, sending keep-alive messages to the parent."""
        for number, block in enumerate(blocks):
            if number % 30 == 29:
                _write(ALIVE, b"")
            yield block

    def _mixed(self, blocks: Iterator[Samples], warnings: Warnings) -> Iterator[Samples]:
        mixer = mixing.Mixer(RATE, warnings)
        return (mixer.mix(block) for block in blocks)


def _with(first: Samples, rest: Iterator[Samples]) -> Iterator[Samples]:
    yield first
    yield from rest


def _nothing(file: File) -> ParaqueueError:
    if file.structure.broken_off:
        return AudioTruncated("the file broke off before any of its sound")
    return AudioEmpty("the audio track has no samples")


def _together(tracks: Sequence[Iterator[Samples]]) -> Iterator[Samples]:
    """Combine tracks as channels; tracks that end earlier are padded with silence."""
    while True:
        blocks = [next(track, None) for track in tracks]
        length = max((block.shape[1] for block in blocks if block is not None), default=0)
        if not length:
            return
        joined = np.zeros((len(blocks), length), np.float32)
        for row, block in zip(joined, blocks, strict=True):
            if block is not None:
                row[: block.shape[1]] = block[0]
        yield joined


def _write(kind: bytes, payload: bytes) -> None:
    data = memoryview(messages.frame(kind, payload))
    while data:
        data = data[os.write(STDOUT, data) :]
