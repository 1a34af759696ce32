"""Downloads one model file: to a temporary name, resumed after a broken connection, verified, and only then renamed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import httpx

from worker.engine.bundles.definitions import FileSpec
from worker.engine.bundles.hubs import Published, SourceFailed, describe

TRIES = 5
"""How often a file is tried at one source; each try continues where the last one broke off."""

RETRY_SECONDS = 1.0
BLOCK_BYTES = 1 << 20


def fetch_file(
    client: httpx.Client,
    file: Published,
    folder: Path,
    kept: FileSpec | None,
    headers: Mapping[str, str],
    progress: Callable[[str], None],
) -> FileSpec:
    """Download a file completely; a file that is already there is verified and kept.

    `kept` is the record of an earlier download. Returns the size and hash. Raises SourceFailed, which names the file.
    """
    place = folder / file.name
    if place.is_file() and _mismatch(place, file) is None:
        return FileSpec(place.stat().st_size, kept.sha256 if kept and kept.sha256 else _sha256_of(place))
    partial = folder / f".{file.name}.{(file.sha256 or file.git_sha1 or 'unknown')[:12]}.part"
    try:
        _fill(client, file, partial, headers, progress)
    except (httpx.HTTPError, SourceFailed) as error:
        reason = str(error) if isinstance(error, SourceFailed) else describe(error)
        raise SourceFailed(f"{file.name}: {reason}") from error
    spec = FileSpec(partial.stat().st_size, file.sha256 or _sha256_of(partial))
    partial.replace(place)
    return spec


def _fill(
    client: httpx.Client,
    file: Published,
    partial: Path,
    headers: Mapping[str, str],
    progress: Callable[[str], None],
) -> None:
    """Download to `partial` until it is complete and verified, resuming after broken connections."""
    for attempt in range(1, TRIES + 1):
        try:
            _receive(client, file, partial, headers)
        except httpx.HTTPStatusError as error:
            if error.response.status_code < 500 or attempt == TRIES:
                raise
        except httpx.TransportError:
            if attempt == TRIES:
                raise
        else:
            mismatch = _mismatch(partial, file)
            if mismatch is None:
                return
            if file.size is None or partial.stat().st_size >= file.size:
                partial.unlink()  # none of its content can be trusted
            if attempt == TRIES:
                raise SourceFailed(mismatch)
        progress(f"{file.name}: broke off, try {attempt + 1} of {TRIES}")
        time.sleep(RETRY_SECONDS * attempt)


def _receive(client: httpx.Client, file: Published, partial: Path, headers: Mapping[str, str]) -> None:
    """Send one request and append the missing bytes of the file."""
    begun = partial.stat().st_size if partial.exists() else 0
    if file.size is not None and 0 < begun >= file.size:
        if begun == file.size:
            return
        partial.unlink()
        begun = 0
    request_headers = dict(headers) | ({"Range": f"bytes={begun}-"} if begun else {})
    # With a content encoding, the ranges would refer to the encoded bytes.
    request_headers["Accept-Encoding"] = "identity"
    with client.stream("GET", file.url, headers=request_headers) as answer:
        answer.raise_for_status()
        continued = answer.status_code == httpx.codes.PARTIAL_CONTENT and _begins_at(answer, begun)
        with partial.open("ab" if continued else "wb") as out:
            for block in answer.iter_raw():  # blocks as received: a larger block would be lost with the connection
                out.write(block)
            _flush(out)


def _mismatch(path: Path, file: Published) -> str | None:
    """What is wrong with a downloaded file, or None."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"{size} bytes came instead of {file.size}"
    if file.sha256 is not None:
        actual = _sha256_of(path)
        return None if actual == file.sha256 else f"its sha256 is {actual} instead of {file.sha256}"
    if file.git_sha1 is not None:
        actual = _hash_of(path, hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False))
        return None if actual == file.git_sha1 else f"its git hash is {actual} instead of {file.git_sha1}"
    return None


def _sha256_of(path: Path) -> str:
    return _hash_of(path, hashlib.sha256())


def _hash_of(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _begins_at(answer: httpx.Response, begun: int) -> bool:
    """Whether a partial response starts at the requested offset."""
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {begun}-")


def write_whole(path: Path, text: str) -> None:
    """Write a small file atomically: under a temporary name, then renamed."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as out:
        out.write(text.encode())
        _flush(out)
    beside.replace(path)


def _flush(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())
