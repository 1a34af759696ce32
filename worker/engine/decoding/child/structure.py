"""Checks the integrity of a file from its bytes, which the libraries do not report.

Determines whether the file ends in the middle of an announced structure, where the links of a chained Ogg file
begin, whether a wav header states less audio than the file has, and where tags after the audio begin.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from worker.engine.decoding.child.mp3_tag import length_tag

RIFF = (b"RIFF", b"RF64")
MOST_BOXES = 1 << 20
MOST_PAGES = 1 << 24
# Of files that were appended to one another; demuxers do not read on by themselves, so that the rest is missing.
MOST_LINKS = 1000
PCM_SLACK = 4096
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
SILK = (b"#!SILK_V3", b"\x02#!SILK_V3")
EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
TOP = {EBML, SEGMENT, 0xEC, 0xBF}
LEVEL_1 = {0x114D9B74, 0x1549A966, 0x1654AE6B, CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF}
IN_CLUSTER = {0xE7, 0xA3, 0xA0, 0xA7, 0xAB, 0x5854, 0xAF, 0xEC, 0xBF}


@dataclass(frozen=True, slots=True)
class Link:
    """A byte range of the file that is one audio stream."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Structure:
    """broken_off: the file is truncated. length_wrong: it has more audio than its header states.

    length_stated: the length that the libraries report was written by the encoder and is not an estimate.
    stated_seconds: the length in a wav header, where the libraries only see what is there.
    index_missing: it was truncated before the index, without which nothing can be decoded.
    complete: it has all the bytes that its encoder counted, whatever the stated length.
    silk: it is in the SILK format, which FFmpeg's libraries do not know.
    """

    links: tuple[Link, ...]
    broken_off: bool = False
    length_wrong: bool = False
    length_stated: bool = False
    index_missing: bool = False
    complete: bool = False
    stated_seconds: float | None = None
    silk: bool = False


def inspect(descriptor: int, size: int) -> Structure:
    """Inspect the headers of an open file."""
    file = _Bytes(descriptor, size)
    head = file.at(0, 16)
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return _wav(file)
    if head[:4] == b"RIFF":  # avi
        return Structure((Link(0, size),), broken_off=8 + struct.unpack("<I", head[4:8])[0] > size)
    if head[:4] == b"OggS":
        return _ogg(file)
    if head == ASF_HEADER:
        return Structure((Link(0, size),), broken_off=_asf_broken(file))
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return Structure((Link(0, size),), broken_off=_matroska_broken(file))
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"):
        broken, indexed, starts = _boxes(file)
        broken |= len(starts) == MOST_LINKS
        return Structure(_links(starts, size), broken_off=broken, index_missing=not indexed)
    if head.startswith(SILK):
        return Structure((Link(0, size),), silk=True)
    if head[:1] == b"\x47" and file.at(188, 1) == b"\x47" and file.at(376, 1) == b"\x47":
        return Structure((Link(0, size),), broken_off=size % 188 != 0)
    end = _before_tags(file)
    tag = length_tag(file.at, end)
    return Structure(
        (Link(0, end),),
        broken_off=tag.whole is False,
        length_stated=tag.frames,
        complete=tag.whole is True,
    )


class _Bytes:
    """Reads small pieces of a file, mostly sequentially."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self.size = descriptor, size
        self._start, self._data = 0, b""

    def at(self, place: int, count: int) -> bytes:
        """`count` bytes from a file offset, or fewer at the end."""
        offset = place - self._start
        if offset < 0 or offset + count > len(self._data):
            self._data = os.pread(self._descriptor, max(count, 1 << 16), max(0, place))
            self._start, offset = max(0, place), 0
        return self._data[offset : offset + count]


def _wav(file: _Bytes) -> Structure:
    """Inspect a wav file.

    Its header is wrong if the bytes after the samples are not chunks. Encoders that write to a pipe leave 0,
    0xFFFFFFFF or a value just below 2 or 4 GiB as the length, which demuxers take as unknown.
    """
    whole = (Link(0, file.size),)
    starts = _wav_starts(file)
    if len(starts) > 1:
        cut = any(
            place + 8 + length > file.size and not (name == b"data" and _unknown(length))
            for place, name, length in _chunks(file, starts[-1] + 12)
        )
        return Structure(_links(starts, file.size), broken_off=cut or len(starts) == MOST_LINKS)
    long_length = None
    for place, name, length in _chunks(file):
        if name == b"ds64":
            long_length = struct.unpack("<Q", file.at(place + 16, 8).ljust(8, b"\0"))[0]
        if name != b"data":
            continue
        if long_length is not None and length == 0xFFFFFFFF:
            length = long_length
        elif length == 0 or _unknown(length):
            return Structure(whole, length_wrong=length == 0 and file.size - place > 8 + PCM_SLACK)
        end = place + 8 + length
        if end > file.size:
            rate = _byte_rate(file)
            return Structure(whole, broken_off=True, stated_seconds=length / rate if rate else None)
        return Structure(whole, length_wrong=file.size - end > PCM_SLACK and not _only_chunks(file, end))
    return Structure(whole)


def _unknown(length: int) -> bool:
    return length >= 0xFFFF0000 or 0x7FFF0000 <= length <= 0x80000000


def _wav_starts(file: _Bytes) -> list[int]:
    """Where wav files begin that were appended to one another; demuxers read the first one only."""
    starts = [0]
    while len(starts) < MOST_LINKS:
        chunks = _chunks(file, starts[-1] + 12)
        found = (place for place, name, _ in chunks if name in RIFF and file.at(place + 8, 4) == b"WAVE")
        start = next(found, None)
        if start is None:
            break
        starts.append(start)
    return starts


def _links(starts: list[int], size: int) -> tuple[Link, ...]:
    return tuple(Link(start, end) for start, end in zip(starts, [*starts[1:], size], strict=True))


def _byte_rate(file: _Bytes) -> int:
    """Bytes per second of a wav file's audio."""
    for place, name, _ in _chunks(file):
        if name == b"fmt ":
            return int(struct.unpack("<I", file.at(place + 16, 4).ljust(4, b"\0"))[0])
    return 0


def _chunks(file: _Bytes, place: int = 12) -> Iterator[tuple[int, bytes, int]]:
    """(place, name, length) of RIFF chunks."""
    for _ in range(1000):
        head = file.at(place, 8)
        if len(head) < 8:
            return
        name, length = struct.unpack("<4sI", head)
        yield place, name, length
        place += 8 + length + (length & 1)


def _only_chunks(file: _Bytes, end: int) -> bool:
    """Whether only chunks follow the samples up to the end of the file."""
    place = end + (end & 1)
    for start, name, length in _chunks(file, place):
        if not all(32 <= sign < 127 for sign in name):
            return False
        place = start + 8 + length
    return file.size - 8 <= place <= file.size + 1


def _ogg(file: _Bytes) -> Structure:
    """Inspect an Ogg file: a page that begins a stream after a page that does not starts the next link of a chain."""
    links: list[int] = [0]
    place, beginning = 0, True
    for _ in range(MOST_PAGES):
        head = file.at(place, 27)
        if len(head) < 27:
            break
        if head[:4] != b"OggS":
            place = _next_page(file, place + 1)
            continue
        table = file.at(place + 27, head[26])
        begins = bool(head[5] & 2)
        if begins and not beginning and len(links) < MOST_LINKS:
            links.append(place)
        beginning = begins
        place += 27 + head[26] + sum(table)
        if len(table) < head[26]:
            place = file.size + 1
    return Structure(_links(links, file.size), broken_off=place > file.size)


def _next_page(file: _Bytes, place: int) -> int:
    """The start of the next page after damaged bytes; the end of the file if there is none."""
    while place < file.size:
        data = file.at(place, 1 << 16)
        offset = data.find(b"OggS")
        if offset >= 0:
            return place + offset
        place += max(1, len(data) - 3)
    return file.size


def _asf_broken(file: _Bytes) -> bool:
    """Whether the data object of an ASF file (wma, wmv) extends beyond the end of the file."""
    place = struct.unpack("<Q", file.at(16, 8).ljust(8, b"\0"))[0]
    data = file.at(place, 24)
    return data[:16] == ASF_DATA and len(data) == 24 and bool(place + struct.unpack("<Q", data[16:])[0] > file.size)


def _boxes(file: _Bytes) -> tuple[bool, bool, list[int]]:
    """Inspect an mp4: whether its last box is cut off, whether it has an index, and where appended files begin."""
    place, indexed, starts = 0, False, [0]
    for _ in range(MOST_BOXES):
        head = file.at(place, 16)
        if len(head) < 8:
            return any(head), indexed, starts
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: up to the end of the file
            return False, indexed or length != 0, starts
        if head[4:8] == b"ftyp" and place and indexed and len(starts) < MOST_LINKS:
            starts.append(place)
        place += length
        indexed |= head[4:8] == b"moov" and place <= file.size
        if place >= file.size:
            return place > file.size, indexed, starts
    return False, True, starts


def _matroska_broken(file: _Bytes) -> bool:
    """Whether the last element extends beyond the end of the file. Elements of unknown size are descended into."""
    place, known = 0, TOP
    while place < file.size:
        name, name_size = _number(file, place, keep_marker=True)
        length, length_size = _number(file, place + name_size, keep_marker=False)
        if not name_size or not length_size:
            return True
        if name not in known:
            if known is not IN_CLUSTER or name not in LEVEL_1:
                return False  # damage, which is handled elsewhere
            known = LEVEL_1  # the cluster of unknown size has ended
        place += name_size + length_size
        unknown = length == (1 << 7 * length_size) - 1
        if name == SEGMENT:
            if not unknown and place + length > file.size:
                return True
            known = LEVEL_1
        elif name == CLUSTER and unknown:
            known = IN_CLUSTER
        else:
            place += length
    return place > file.size


def _number(file: _Bytes, place: int, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML number and its size in bytes; size 0 if there is none."""
    data = file.at(place, 8)
    if not data or not data[0]:
        return 0, 0
    size = 9 - data[0].bit_length()
    if len(data) < size:
        return 0, 0
    value = int.from_bytes(data[:size], "big")
    return (value if keep_marker else value & (1 << 7 * size) - 1), size


def _before_tags(file: _Bytes) -> int:
    """The end of the audio before ID3v1 and APE tags, which are not damage."""
    end = file.size
    for _ in range(4):
        if file.at(end - 128, 3) == b"TAG" and end > 128:
            end -= 128
        elif file.at(end - 32, 8) == b"APETAGEX" and end > 32:
            length, _, flags = struct.unpack("<III", file.at(end - 20, 12))
            end -= min(end, length + (32 if flags >> 31 else 0))
        else:
            break
    return end if end > 0 else file.size
