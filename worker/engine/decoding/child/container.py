"""A file as FFmpeg's libraries read it: its audio tracks, and the decoded frames of one track.

Errors are taken from the library's API; its log output, which a file could forge, is never read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.stream import Disposition

from common.errors import AudioEmpty, AudioMissing, AudioNotDecodable, TrackNotFound
from common.transcript.recording import AudioTrack
from worker.engine.decoding.formats import EXTENSIONS
from worker.engine.decoding.messages import MAX_CHANNELS, MOST_TRACKS

FORMATS = ",".join(name for name in EXTENSIONS if name != "silk")
# Containers with their own clock, which players show unchanged; in other containers it may start at any value.
CLOCKED = frozenset({"mov", "matroska"})
# Formats without timestamps: the libraries count frames and do not account for skipped bytes.
BARE = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "dts", "gsm", "loas"})
# Formats that state their length to the sample. Tracks in mov may be cut by edit lists, and matroska states the length
# of its longest track: there only the file structure shows whether the file is truncated.
EXACT = frozenset({"w64", "aiff", "caf", "flac", "ape", "tta", "wv"})
# Consecutive good packets after which a damaged section counts as over.
STEADY = 25
# Fewer are enough at the end of the file.
STEADY_AT_END = 5
# Bare formats whose packets all have the same size, except for a truncated last one.
EVEN = frozenset({"ac3", "eac3", "dts"})
BUFFER_BYTES = 1 << 18
LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Heard:
    """A decoded frame and its start on the container's clock; None if unknown."""

    frame: AudioFrame
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Damage:
    """A packet that cannot be decoded."""


Event: TypeAlias = Heard | Damage


class Slice:
    """The bytes from `start` to `end` of the open file, with an independent position."""

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self._descriptor, self._start, self._end = descriptor, start, end
        self._place = start

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = os.pread(self._descriptor, max(0, min(size, self._end - self._place)), self._place)
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Behaves like the method of a file object."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._place, os.SEEK_END: self._end}[whence]
        self._place = max(self._start, base + offset)
        return self.tell()

    def tell(self) -> int:
        """Behaves like the method of a file object."""
        return self._place - self._start


class Sound:
    """One opened file, or one link of a chain."""

    def __init__(self, descriptor: int, start: int, end: int, *, ignore_length: bool = False) -> None:
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
        if ignore_length:
            options["ignore_length"] = "1"
        source = Slice(descriptor, start, end)
        try:
            opened = av.open(source, "r", options=options, buffer_size=BUFFER_BYTES, metadata_errors="replace")
        except av.error.EOFError as error:
            raise AudioEmpty("the file ends in its header: the audio track has no samples") from error
        except (av.error.FFmpegError, ValueError) as error:
            raise AudioNotDecodable(f"the file is not audio that can be decoded ({_reason(error)})") from error
        self._container = opened
        self._size, self._read_until = end - start, 0
        self._last_cut = False
        self.format = opened.format.name.partition(",")[0]
        # Streams without a decoder have no codec context, and streams that could not be parsed have a rate of 0.
        self._streams = [item for item in opened.streams.audio if item.codec_context is not None and item.rate]
        if not self._streams:
            raise AudioMissing("the file has no audio track that can be decoded")

    @property
    def exact(self) -> bool:
        """Whether the length that the format states is reliable."""
        return self.format in EXACT

    @property
    def bare(self) -> bool:
        """Whether the format has neither timestamps nor (except for mp3's tag) a length, so that it is estimated."""
        return self.format in BARE

    @property
    def start_seconds(self) -> float:
        """The value of the container's clock at time 0 of the recording."""
        start = (self._container.start_time or 0) / av.time_base
        return min(0.0, start) if self.format in CLOCKED else start

    def tracks(self) -> tuple[AudioTrack, ...]:
        """The audio tracks, in file order."""
        return tuple(_track(number, item) for number, item in enumerate(self._streams[:MOST_TRACKS]))

    def stated_seconds(self, track: int) -> float | None:
        """The length of a track as the libraries know or estimate it."""
        stream = self._streams[track]
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return self._container.duration / av.time_base if self._container.duration else None

    def lengths(self, track: int) -> Iterator[float]:
        """The length of a track up to each of its packets, in seconds, without decoding; nothing else can follow."""
        stream = self._streams[track]
        length = 0
        try:
            for packet in self._container.demux(stream):
                length += packet.duration or 0
                yield float(length * (packet.time_base or 0))
        except av.error.FFmpegError:
            return

    def events(self, track: int) -> Iterator[Event]:
        """The frames and damaged sections of one track, in order."""
        stream = self._streams[track]
        for other in self._container.streams:
            if other is not stream:
                other.discard = av.stream.Discard.all
        stream.codec_context.thread_count = 1
        events = self._decoded(stream)
        return self._resynced(events) if self.format in BARE else (event for event, _ in events)

    @property
    def left_over(self) -> bool:
        """Whether the file ends with an incomplete packet; valid after the last event."""
        return self._last_cut or (self.format in BARE and 0 < self._read_until < self._size)

    def close(self) -> None:
        """Close the container."""
        self._container.close()

    def _decoded(self, stream: AudioStream) -> Iterator[tuple[Event, int]]:
        """Events with the file offset of their packet."""
        place, usual = 0, 0
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                yield Damage(), place
                return
            if packet.size and packet.pos is not None:
                place = packet.pos
                self._read_until = max(self._read_until, place + packet.size)
                cut = packet.is_corrupt if self.format in EXACT else packet.size < 0.9 * usual
                self._last_cut = cut and self.format in EXACT | EVEN
                usual = packet.size
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                yield Damage(), place
                continue
            for frame in frames:
                if 1 <= frame.layout.nb_channels <= MAX_CHANNELS and frame.sample_rate > 0:
                    yield Heard(frame, frame.time), place

    def _resynced(self, events: Iterator[tuple[Event, int]]) -> Iterator[Event]:
        """Correct times in a file without timestamps: after a damaged section, time advances by the bytes skipped.

        Whatever is decoded within the section is noise and is dropped.
        """
        shift, good_until, good_place, first_place = 0.0, 0.0, 0, -1
        waiting: list[tuple[Heard, int]] | None = None
        first_rate, recounted = 0, False
        for event, place in events:
            if isinstance(event, Damage):
                if waiting is None:
                    yield event
                waiting = []
            elif waiting is not None:
                waiting.append((event, place))
                if len(waiting) >= STEADY:
                    rate = (good_place - first_place) / good_until if good_until > 0 else 0.0
                    shift = _shift(waiting[0], good_until, good_place, rate)
                    yield from _shifted(waiting, shift)
                    waiting = None
            else:
                first_rate = first_rate or event.frame.sample_rate
                recounted |= event.frame.sample_rate != first_rate
                begin = (event.seconds if event.seconds is not None else good_until - shift) + shift
                if recounted:  # the libraries count every frame at the rate of the first one
                    begin = good_until
                first_place = place if first_place < 0 else first_place
                good_until, good_place = begin + event.frame.samples / event.frame.sample_rate, place
                yield Heard(event.frame, begin)
        if waiting is not None and len(waiting) >= STEADY_AT_END:
            rate = (good_place - first_place) / good_until if good_until > 0 else 0.0
            yield from _shifted(waiting, _shift(waiting[0], good_until, good_place, rate))


def _shift(first: tuple[Heard, int], good_until: float, good_place: int, rate: float) -> float:
    """The time lag of a file without timestamps after damage, from the bytes skipped at the usual byte rate."""
    lost = (first[1] - good_place) / rate if rate > 0 else 0.0
    return good_until + lost - (first[0].seconds or 0.0)


def _shifted(waiting: list[tuple[Heard, int]], shift: float) -> Iterator[Event]:
    return (Heard(item.frame, (item.seconds or 0.0) + shift) for item, _ in waiting)


def chosen(tracks: tuple[AudioTrack, ...], wanted: str) -> tuple[int, ...]:
    """The tracks selected by `audio_track`. Raises TrackNotFound."""
    if wanted == "all":
        return tuple(track.index for track in tracks)
    if wanted == "default":
        return (next((track.index for track in tracks if track.default), 0),)
    if wanted.isdecimal():
        matching = [track.index for track in tracks if track.index == int(wanted)]
    else:
        matching = [track.index for track in tracks if same_language(track.language, wanted)]
    if not matching:
        there = ", ".join(f"{track.index} ({track.language or 'no language'})" for track in tracks)
        raise TrackNotFound(f"the file has no audio track {wanted!r}; it has {there}")
    return (matching[0],)


# ISO 639-2 has two codes for these languages; files use either, or the shorter ISO 639-1 code.
_NAMES = (
    {"zh", "chi", "zho", "cmn"},
    {"en", "eng"},
    {"de", "ger", "deu"},
    {"fr", "fre", "fra"},
    {"ja", "jpn"},
    {"ko", "kor"},
    {"es", "spa"},
    {"ru", "rus"},
    {"yue", "zh-hk"},
)


def same_language(one: str | None, other: str) -> bool:
    """Whether two codes name the same language."""
    if one is None:
        return False
    one, other = one.lower(), other.lower()
    return one == other or any(one in names and other in names for names in _NAMES)


def _track(number: int, stream: AudioStream) -> AudioTrack:
    language = (stream.language or "").lower()
    return AudioTrack(
        index=number,
        codec=stream.codec_context.name,
        channels=stream.codec_context.layout.nb_channels,
        sample_rate=stream.rate,
        language=language if LANGUAGE.fullmatch(language) and language != "und" else None,
        title=(stream.metadata.get("title") or "")[:100] or None,
        default=bool(stream.disposition & Disposition.default),
    )


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__)[:100]
