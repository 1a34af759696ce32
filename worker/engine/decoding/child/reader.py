"""Reads one audio track of a file as float samples on the recording's clock, from time 0 on, without gaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame

from common.errors import ParaqueueError
from common.transcript.recording import WarningCode
from worker.engine.decoding.child.container import EXACT, Damage, Event, Heard, Sound
from worker.engine.decoding.child.resample import Resampler, Samples, form_of
from worker.engine.decoding.child.silk import Silk
from worker.engine.decoding.child.structure import Link, Structure
from worker.engine.decoding.child.timeline import Timeline, Warnings

LAYOUTS = {"mono": 1, "stereo": 2}
MISSING_SECONDS = 0.2  # tolerance for differences between encoder and container


@dataclass(frozen=True, slots=True)
class File:
    """The file of a child: its descriptor and its structure."""

    descriptor: int
    structure: Structure

    def opened(self, link: Link) -> Sound | Silk:
        """Open one link of the chain; most files consist of one link."""
        if self.structure.silk:
            return Silk(self.descriptor, link.start, link.end)
        return Sound(self.descriptor, link.start, link.end, ignore_length=self.structure.length_wrong)


class TrackReader:
    """Samples float32 [channels, n] at `rate`; `channels` is fixed by the first frame, or by `layout`."""

    def __init__(self, file: File, track: int, rate: int, warnings: Warnings, layout: str | None = None) -> None:
        self._file, self._track, self._rate, self._warnings = file, track, rate, warnings
        self._layout = layout
        self._run: Resampler | None = None
        self._channels = 0
        self._written = 0
        self._damage: tuple[float, float] | None = None  # where audio is missing, and where it resumes
        self._left_over = False
        self._began_at: float | None = None
        self._stated: float | None = None  # the length of the audio, if the file states it reliably
        self._timeline = Timeline(warnings, 0.0)

    @property
    def until(self) -> float:
        """The end of the audio so far on the recording's clock, in seconds."""
        return self._timeline.until

    def blocks(self, size: int) -> Iterator[Samples]:
        """Blocks of exactly `size` samples, except for the last. Their boundaries do not depend on the frame sizes."""
        held: list[Samples] = []
        count = 0
        for piece in self._pieces():
            held.append(piece)
            count += piece.shape[1]
            if count >= size:
                whole = np.concatenate(held, axis=1)
                for start in range(0, count - size + 1, size):
                    yield whole[:, start : start + size]
                rest = whole[:, count // size * size :]
                held, count = [rest], rest.shape[1]
        if count:
            yield np.concatenate(held, axis=1)

    def _pieces(self) -> Iterator[Samples]:
        for number, link in enumerate(self._file.structure.links):
            try:
                sound = self._file.opened(link)
            except ParaqueueError:
                if number == 0:
                    raise
                yield from self._take(Damage())  # what was heard before it counts
                continue
            try:
                if number == 0:
                    self._timeline = Timeline(self._warnings, sound.start_seconds)
                    self._stated = self._surely_stated(sound)
                else:
                    self._timeline.shift_to(sound.start_seconds)
                yield from self._link(sound)
            finally:
                sound.close()
        yield from self._end_run()
        self._judge_end()

    def _link(self, sound: Sound | Silk) -> Iterator[Samples]:
        track = min(self._track, len(sound.tracks()) - 1)
        for event in sound.events(track):
            yield from self._take(event)
        self._left_over = sound.left_over

    def _take(self, event: Event) -> Iterator[Samples]:
        until = self._timeline.until
        if isinstance(event, Damage):
            self._damage = (self._damage[0] if self._damage else until, until)
            return
        fresh = self._damage is not None and self._damage[1] == until
        yield from self._place(event, tell=not fresh)
        if self._damage is None:
            return
        if fresh:
            self._damage = (self._damage[0], self._timeline.until - event.frame.samples / event.frame.sample_rate)
        if self._timeline.until - self._damage[1] >= MISSING_SECONDS:
            self._warnings.add(WarningCode.AUDIO_DAMAGED, *self._damage)
            self._damage = None

    def _place(self, decoded: Heard, *, tell: bool) -> Iterator[Samples]:
        frame = decoded.frame
        place = self._timeline.place(decoded.seconds, frame.samples / frame.sample_rate, tell=tell)
        if self._began_at is None:
            self._began_at = place.seconds
            self._channels = LAYOUTS.get(self._layout or "", frame.layout.nb_channels)
        changed = self._run is not None and self._run.form != form_of(frame)
        if changed:
            self._warnings.add(WarningCode.FORMAT_CHANGED, place.seconds, place.seconds)
        if self._run is None or changed or not place.joined:
            yield from self._end_run()
            yield from self._silence_until(round(place.seconds * self._rate))
            self._run = Resampler(frame, self._rate, self._layout)
        skipped = round(place.skip * frame.sample_rate)
        if skipped < frame.samples:
            run = self._run
            yield from self._written_down(run.push(_without(frame, skipped)))

    def _end_run(self) -> Iterator[Samples]:
        run, self._run = self._run, None
        if run is not None:
            yield from self._written_down(run.finish())

    def _silence_until(self, sample: int) -> Iterator[Samples]:
        """Silence up to a sample on the recording's clock; the first frame has determined the number of channels."""
        while self._written < sample:
            piece = np.zeros((self._channels, min(self._rate, sample - self._written)), np.float32)
            self._written += piece.shape[1]
            yield piece

    def _written_down(self, pieces: Iterable[Samples]) -> Iterator[Samples]:
        for piece in pieces:
            self._written += piece.shape[1]
            yield _fitted(piece, self._channels)

    def _surely_stated(self, sound: Sound | Silk) -> float | None:
        structure = self._file.structure
        if structure.stated_seconds is not None:
            return structure.stated_seconds
        if structure.complete:
            return None
        sure = sound.format in EXACT or structure.length_stated
        return sound.stated_seconds(self._track) if sure and len(structure.links) == 1 else None

    def _judge_end(self) -> None:
        """Check whether the file ends before its audio does."""
        until = self._timeline.until
        if self._began_at is None:
            return
        stated_until = self._began_at + self._stated if self._stated is not None else None
        short = stated_until is not None and until < stated_until - MISSING_SECONDS
        damaged = self._damage is not None and self._stated is None
        if self._file.structure.broken_off or self._left_over or short or damaged:
            self._warnings.add(WarningCode.AUDIO_TRUNCATED, until, max(until, stated_until or until))


def _fitted(piece: Samples, channels: int) -> Samples:
    """Fit the channels of a piece whose layout differs from that of the first one."""
    if piece.shape[0] == channels:
        return piece
    if channels == 1:
        return np.asarray(piece.mean(0, keepdims=True), np.float32)
    if piece.shape[0] == 1:
        return np.repeat(piece, channels, axis=0)
    fitted = np.zeros((channels, piece.shape[1]), np.float32)
    shared = min(channels, piece.shape[0])
    fitted[:shared] = piece[:shared]
    return fitted


def _without(frame: AudioFrame, count: int) -> AudioFrame:
    """A frame without its first samples."""
    if count <= 0:
        return frame
    interleaved = frame.layout.nb_channels if frame.format.is_packed else 1
    samples: Any = np.ascontiguousarray(frame.to_ndarray()[:, count * interleaved :])
    rest = AudioFrame.from_ndarray(samples, frame.format.name, frame.layout.name)
    rest.sample_rate, rest.time_base = frame.sample_rate, frame.time_base
    return rest
