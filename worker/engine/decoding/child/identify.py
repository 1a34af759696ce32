"""Identifies files that are not recordings by their first bytes, with a message for the person who sent them."""

from __future__ import annotations

from common.errors import AudioMissing, AudioNotDecodable, ParaqueueError

HEAD_BYTES = 4096
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
# Boxes with which a segment of an mp4 begins that has no header of its own.
SEGMENTS = (b"styp", b"moof", b"sidx")
CLUSTER = b"\x1f\x43\xb6\x75"
# Leading bytes of a file, and its type.
KNOWN = (
    (b"CTENFDAM", "the file is an encrypted download of NetEase Cloud Music (ncm); only its app can play it"),
    (b"#EXTM3U", "the file is a playlist (m3u8), not a recording; send the recording that it names"),
    (b"[playlist]", "the file is a playlist (pls), not a recording; send the recording that it names"),
    (b"data:", "the file is a data: link as text, not a recording; decode the Base64 behind the comma first"),
    (b"%PDF", "the file is a PDF document, not a recording"),
    (b"PK\x03\x04", "the file is a ZIP archive or an Office document, not a recording; unpack it first"),
    (b"\x1f\x8b", "the file is compressed with gzip; unpack it first"),
    (b"Rar!", "the file is a RAR archive, not a recording; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "the file is a 7z archive, not a recording; unpack it first"),
)
# Leading characters of a text, in lower case and without white space, and its type.
TEXTS = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<head", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"<error", "an XML document"),
    (b"{", "a JSON document"),
    (b"[{", "a JSON document"),
    (b"webvtt", "a subtitle file"),
)


def named(head: bytes, size: int) -> ParaqueueError | None:
    """The error for a file that is certainly not a recording; None if it may be one."""
    if head.startswith(PICTURES):
        return AudioMissing("the file is a picture")
    readable = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for beginning, message in KNOWN:
        if readable.startswith(beginning):
            return AudioNotDecodable(message)
    if head[4:8] in SEGMENTS and b"moov" not in head:
        return AudioNotDecodable("the file is one segment of a DASH or HLS stream; send the whole recording")
    text = readable.lower()
    for beginning, kind in TEXTS:
        if text.startswith(beginning) and _is_text(head):
            return AudioNotDecodable(
                f"the file is {kind}, not a recording; where it came from a link, that may need signing in"
            )
    if head[:4] == b"\x1a\x45\xdf\xa3" and size <= HEAD_BYTES and CLUSTER not in head:
        return AudioMissing("the file is an empty recording of a browser: it has a header and no sound")
    return None


def _is_text(head: bytes) -> bool:
    return b"\0" not in head
