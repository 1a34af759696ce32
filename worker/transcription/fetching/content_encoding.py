"""Undoes the Content-Encoding of a download while it arrives, in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

PIECE_BYTES = 256 * 1024
MOST_LAYERS = 3
GZIP_MAGIC = b"\x1f\x8b"
GZIP = frozenset({"gzip", "x-gzip"})
DEFLATE = "deflate"
# Registered encodings without a decoder here. Other values (`utf-8`, `binary`, `none` …) are no encodings: servers and
# uploaders set them by mistake, and like browsers we take such a body as it is.
UNSUPPORTED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})


class BadEncoding(Exception):
    """The body cannot be decoded; the message says why."""


def layers(header: str | None) -> tuple[str, ...]:
    """The encodings of a Content-Encoding header that have to be undone, the last one applied first.

    Raises BadEncoding for one that is not supported.
    """
    names = [name.strip().lower() for name in (header or "").split(",")]
    unsupported = [name for name in names if name in UNSUPPORTED]
    if unsupported:
        raise BadEncoding(f"the link's content is compressed with {unsupported[0]!r}, which is not supported")
    layers = tuple(reversed([name for name in names if name in GZIP or name == DEFLATE]))
    if len(layers) > MOST_LAYERS:
        raise BadEncoding(f"the link's content is compressed {len(layers)} times over")
    return layers


class Decoder:
    """Undoes one layer. `encoding` is a value of `layers`.

    Content that is labelled gzip and is not passes unchanged: the label is wrong then, a common mistake in buckets.
    """

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding in GZIP
        self._head = b""
        self._inflate: zlib._Decompress | None = None
        self._plain = self._over = False

    @property
    def complete(self) -> bool:
        """Whether the content has ended, as far as it can tell."""
        return self._plain or self._over or (self._inflate is None and not self._head)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded bytes in pieces of at most PIECE_BYTES. Raises BadEncoding."""
        pending = False  # zlib may hold output although it has consumed all input
        while data or pending:
            if self._inflate is None and not self._plain:
                data = self._begin(data)
                continue
            if self._inflate is None:
                yield data
                return
            try:
                piece = self._inflate.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise BadEncoding("the link's content is damaged: it cannot be decompressed") from None
            if piece:
                yield piece
            data, pending = self._inflate.unconsumed_tail, len(piece) == PIECE_BYTES
            if self._inflate.eof:
                data, pending, self._inflate, self._over = self._inflate.unused_data, False, None, True

    def _begin(self, data: bytes) -> bytes:
        """Choose how to inflate by the first two bytes, and return the bytes to continue with."""
        self._head += data
        if len(self._head) < len(GZIP_MAGIC):
            return b""
        head, self._head = self._head, b""
        if self._over:  # gzip allows further members; anything else after the end is padding
            if not self._gzip or not head.startswith(GZIP_MAGIC):
                return b""
            self._over = False
        if self._gzip:
            self._plain = not head.startswith(GZIP_MAGIC)
        if not self._plain:
            self._inflate = zlib.decompressobj(31 if self._gzip else 15 if _is_zlib(head) else -15)
        return head


class Chain:
    """Undoes several layers, the first one of `encodings` first."""

    def __init__(self, encodings: Iterable[str]) -> None:
        self._decoders = [Decoder(encoding) for encoding in encodings]

    @property
    def complete(self) -> bool:
        """Whether every layer has ended."""
        return all(decoder.complete for decoder in self._decoders)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded bytes in pieces of bounded size. Raises BadEncoding."""
        pieces: Iterator[bytes] = iter((data,))
        for decoder in self._decoders:
            pieces = _through(decoder, pieces)
        return pieces


def _through(decoder: Decoder, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from decoder.decode(piece)


def _is_zlib(head: bytes) -> bool:
    """Whether a deflate body has the zlib header that RFC 9110 demands; many servers send it without (RFC 1951)."""
    return head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
