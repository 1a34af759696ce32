"""Content-Encoding undone in pieces: real streams of zlib, cut anywhere."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Iterator

import pytest

from worker.transcription.fetching.content_encoding import PIECE_BYTES, BadEncoding, Chain, layers

CONTENT = bytes(random.Random(1).choices(b"abcdefgh", k=700_000))


def raw_deflate(data: bytes) -> bytes:
    """Without the zlib header, as many servers send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


STREAMS = {
    "gzip": gzip.compress(CONTENT),
    "gzip, members": gzip.compress(CONTENT[:1000]) + gzip.compress(b"") + gzip.compress(CONTENT[1000:]),
    "gzip, padded": gzip.compress(CONTENT) + bytes(700),
    "gzip, not compressed": b"ID3" + CONTENT,
    "deflate": zlib.compress(CONTENT),
    "deflate, raw": raw_deflate(CONTENT),
}


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 65_536, 10_000_000])
def test_it_does_not_matter_where_the_stream_is_cut(kind: str, size: int) -> None:
    data = STREAMS[kind] if size > 1 else STREAMS[kind][:5000]
    chain = Chain(layers(kind.partition(",")[0]))
    got = b"".join(piece for part in cut(data, size) for piece in chain.decode(part))
    wanted = data if kind == "gzip, not compressed" else CONTENT
    assert wanted.startswith(got)
    assert got == wanted or size == 1
    assert chain.complete == (size > 1 or kind == "gzip, not compressed")


@pytest.mark.parametrize("more", [25, 100, 150])
def test_no_output_is_left_behind_at_the_end_of_a_piece(more: int) -> None:
    content = bytes(PIECE_BYTES + more)  # its last match goes beyond the piece
    chain = Chain(layers("deflate"))
    assert b"".join(chain.decode(raw_deflate(content))) == content
    assert chain.complete


def test_pieces_are_bounded_whatever_they_decode_to() -> None:
    bomb = gzip.compress(gzip.compress(bytes(50_000_000)))
    sizes = [len(piece) for piece in Chain(layers("gzip, gzip")).decode(bomb)]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= PIECE_BYTES


def test_a_stream_that_ends_early_is_not_complete() -> None:
    chain = Chain(layers("gzip"))
    got = b"".join(chain.decode(STREAMS["gzip"][:-9]))
    assert CONTENT.startswith(got)
    assert not chain.complete


def test_damage_is_an_error() -> None:
    data = bytearray(STREAMS["gzip"])
    data[5000:6000] = random.Random(2).randbytes(1000)
    with pytest.raises(BadEncoding, match="damaged"):
        list(Chain(layers("gzip")).decode(bytes(data)))


@pytest.mark.parametrize("header", [None, "", "identity", "utf-8", "aws-chunked", "binary, none"])
def test_what_is_no_encoding_changes_nothing(header: str | None) -> None:
    chain = Chain(layers(header))
    assert b"".join(chain.decode(b"abc")) == b"abc"
    assert chain.complete


def test_layers_are_undone_in_reverse_order_and_not_without_end() -> None:
    assert layers("Deflate , x-gzip") == ("x-gzip", "deflate")
    data = gzip.compress(zlib.compress(CONTENT))
    assert b"".join(Chain(layers("deflate, gzip")).decode(data)) == CONTENT
    with pytest.raises(BadEncoding, match="4 times"):
        layers("gzip, gzip, gzip, gzip")
    for name in ("br", "zstd"):
        with pytest.raises(BadEncoding, match=name):
            layers(name)
