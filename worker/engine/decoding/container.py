"""A file as FFmpeg's libraries see it: its audio tracks, and the decoded frames of one of them.

Errors come as values of the library's interface; what it prints, which a file could forge, is not read at all.
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

from common.errors import AudioMissing, AudioNotDecodable, TrackNotFound
from common.transcript.recording import AudioTrack
from worker.engine.decoding.messages import MAX_CHANNELS, MOST_TRACKS

FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,amrnb,amrwb,ape,asf,avi,dts,dsf,flv,gsm,loas,matroska,mov,"
    "mpeg,mpegts,mpc,mpc8,ogg,qcp,rm,tak,tta,voc,wv"
)
# Containers with a clock of their own, which players show as it is; elsewhere it begins at any value.
CLOCKED = frozenset({"mov", "matroska"})
# No timestamps in the file: the libraries count frames, and know nothing of bytes that they skipped.
BARE = frozenset({"mp3", "aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "dts", "gsm", "loas"})
# Formats that state the length of their sound to the sample. The tracks of mov may be cut by edit lists, and matroska
# states that of its longest track: there only the structure of the file tells whether it broke off.
EXACT = frozenset({"w64", "aiff", "caf", "flac", "ape", "tta", "wv"})
# Good packets in a row after which a damaged place counts as passed.
STEADY = 25
# At the end of the file fewer will do.
STEADY_AT_END = 5
# Bare formats whose packets are all of one size, but for a last one that was cut off.
EVEN = frozenset({"ac3", "eac3", "dts"})
BUFFER_BYTES = 1 << 18
LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Heard:
    """A decoded frame, and where it begins on the container's clock; None where nobody knows."""

    frame: AudioFrame
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Damage:
    """A packet that cannot be decoded."""


Event: TypeAlias = Heard | Damage


class Slice:
    """The bytes from `start` to `end` of the open file, without a position that others share."""

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self._descriptor, self._start, self._end = descriptor, start, end
        self._place = start

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = os.pread(self._descriptor, max(0, min(size, self._end - self._place)), self._place)
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As files do it."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._place, os.SEEK_END: self._end}[whence]
        self._place = max(self._start, base + offset)
        return self.tell()

    def tell(self) -> int:
        """As files do it."""
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
        except (av.error.FFmpegError, ValueError) as error:
            raise AudioNotDecodable(f"the file is not audio that can be decoded ({_reason(error)})") from error
        self._container = opened
        self._size, self._read_until = end - start, 0
        self._last_cut = False
        self.format = opened.format.name.partition(",")[0]
        # Streams without a decoder have no codec context, and a rate of 0 has only what was never understood.
        self._streams = [item for item in opened.streams.audio if item.codec_context is not None and item.rate]
        if not self._streams:
            raise AudioMissing("the file has no audio track that can be decoded")

    @property
    def exact(self) -> bool:
        """Whether the length that the format states can be relied on."""
        return self.format in EXACT

    @property
    def bare(self) -> bool:
        """Whether the format has neither timestamps nor, but for mp3's tag, a length: what is told is an estimate."""
        return self.format in BARE

    @property
    def start_seconds(self) -> float:
        """Where the container's clock stands at time 0 of the recording."""
        start = (self._container.start_time or 0) / av.time_base
        return min(0.0, start) if self.format in CLOCKED else start

    def tracks(self) -> tuple[AudioTrack, ...]:
        """The audio tracks in the order of the file."""
        return tuple(_track(number, item) for number, item in enumerate(self._streams[:MOST_TRACKS]))

    def stated_seconds(self, track: int) -> float | None:
        """The length of a track as the libraries know or estimate it."""
        stream = self._streams[track]
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return self._container.duration / av.time_base if self._container.duration else None

    def events(self, track: int) -> Iterator[Event]:
        """The frames of one track, and its damaged places, in order."""
        stream = self._streams[track]
        for other in self._container.streams:
            if other is not stream:
                other.discard = av.stream.Discard.all
        stream.codec_context.thread_count = 1
        events = self._decoded(stream)
        return self._resynced(events) if self.format in BARE else (event for event, _ in events)

    @property
    def left_over(self) -> bool:
        """After the last event: whether the file ends with bytes that make no whole packet."""
        return self._last_cut or (self.format in BARE and 0 < self._read_until < self._size)

    def close(self) -> None:
        """Let go of it."""
        self._container.close()

    def _decoded(self, stream: AudioStream) -> Iterator[tuple[Event, int]]:
        """Events with the place in the file that their packet comes from."""
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
        """Of a file without timestamps: behind a damaged place, time goes on by the bytes that were passed.

        What is decoded within it is noise, and is dropped.
        """
        shift, good_until, good_place, first_place = 0.0, 0.0, 0, -1
        waiting: list[tuple[Heard, int]] | None = None
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
                begin = (event.seconds if event.seconds is not None else good_until - shift) + shift
                first_place = place if first_place < 0 else first_place
                good_until, good_place = begin + event.frame.samples / event.frame.sample_rate, place
                yield Heard(event.frame, begin)
        if waiting is not None and len(waiting) >= STEADY_AT_END:
            rate = (good_place - first_place) / good_until if good_until > 0 else 0.0
            yield from _shifted(waiting, _shift(waiting[0], good_until, good_place, rate))


def _shift(first: tuple[Heard, int], good_until: float, good_place: int, rate: float) -> float:
    """How far the time of a file without timestamps is behind, after damage: bytes passed at the usual rate."""
    lost = (first[1] - good_place) / rate if rate > 0 else 0.0
    return good_until + lost - (first[0].seconds or 0.0)


def _shifted(waiting: list[tuple[Heard, int]], shift: float) -> Iterator[Event]:
    return (Heard(item.frame, (item.seconds or 0.0) + shift) for item, _ in waiting)


def chosen(tracks: tuple[AudioTrack, ...], wanted: str) -> tuple[int, ...]:
    """The tracks that `audio_track` asks for. Raises TrackNotFound."""
    if wanted == "all":
        return tuple(track.index for track in tracks)
    if wanted == "default":
        return (next((track.index for track in tracks if track.default), 0),)
    if wanted.isdecimal():
        found = [track.index for track in tracks if track.index == int(wanted)]
    else:
        found = [track.index for track in tracks if same_language(track.language, wanted)]
    if not found:
        there = ", ".join(f"{track.index} ({track.language or 'no language'})" for track in tracks)
        raise TrackNotFound(f"the file has no audio track {wanted!r}; it has {there}")
    return (found[0],)


# ISO 639-2 has two codes for these languages, and files use either, or the shorter code of ISO 639-1.
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
