"""s3:// and oss:// links against a real S3 server, also through a line that breaks."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from common.errors import (
    AudioEmpty,
    ParaqueueError,
    SourceDenied,
    SourceNotAllowed,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreachable,
)
from common.storage import s3_client
from tests.servers import S3
from worker.transcription.fetching.download import download
from worker.transcription.fetching.limits import FetchLimits
from worker.transcription.fetching.object_source import ObjectSource
from worker.transcription.stop import Stopped, StopReason, StopSignal

LIMITS = FetchLimits(
    max_bytes=4_000_000, timeout_seconds=30, stall_seconds=5, max_redirects=3, resumes=2, allowed_private=()
)
CONTENT = random.Random(6).randbytes(3_000_000)


def client(store: S3, **changes: Any) -> Any:
    values = {
        "endpoint_url": store.endpoint_url,
        "region": store.region,
        "access_key_id": store.access_key_id,
        "secret_access_key": store.secret_access_key,
        "addressing_style": "path",
        "checksums": "when_required",
    }
    return s3_client(**{**values, **changes})


def fetch(source: ObjectSource, target: Path, limits: FetchLimits = LIMITS) -> bytes:
    download(source.open, target, limits, lambda: None)
    return target.read_bytes()


@contextmanager
def broken_line(endpoint: str, after: int, times: int) -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that cuts the first `times` long responses of a server after `after` bytes; also yields the requests."""
    there = urlsplit(endpoint)
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []
    left = [times]

    def carry(here: socket.socket) -> None:
        with here, socket.create_connection((there.hostname or "", there.port or 0)) as beyond:
            threading.Thread(target=ask, args=(here, beyond), daemon=True).start()
            passed = 0
            while data := beyond.recv(65536):
                passed += len(data)
                if left[0] and passed > after:
                    left[0] -= 1
                    here.shutdown(socket.SHUT_RDWR)
                    return
                here.sendall(data)

    def ask(here: socket.socket, beyond: socket.socket) -> None:
        try:
            while data := here.recv(65536):
                requests.append(data)
                beyond.sendall(data)
        except OSError:
            return

    def serve() -> None:
        try:
            while True:
                threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        listener.close()


@pytest.mark.parametrize("key", ["plain.mp3", "录音/第 1 次 会议.mp3", "a+b & c=d%20e.mp3", "deep/er/and/deeper"])
def test_an_object_comes_whole_whatever_its_name(s3: S3, tmp_path: Path, key: str) -> None:
    client(s3).put_object(Bucket=s3.bucket, Key=key, Body=CONTENT)
    assert fetch(ObjectSource(client(s3), s3.bucket, key), tmp_path / "x") == CONTENT


@pytest.mark.parametrize(
    ("bucket", "key", "error"),
    [
        (None, "missing.mp3", SourceNotFound),
        ("no-such-bucket", "a", SourceNotFound),
        ("Not A Bucket!", "a", SourceNotAllowed),
        (None, "", SourceNotAllowed),
    ],
)
def test_what_is_not_there(s3: S3, tmp_path: Path, bucket: str | None, key: str, error: type[ParaqueueError]) -> None:
    with pytest.raises(error):
        fetch(ObjectSource(client(s3), bucket or s3.bucket, key), tmp_path / "x")


@pytest.mark.parametrize(
    "changes",
    [{"secret_access_key": "wrong"}, {"access_key_id": "nobody"}, {"access_key_id": "", "secret_access_key": ""}],
)
def test_wrong_credentials_are_a_refusal(s3: S3, tmp_path: Path, changes: dict[str, str]) -> None:
    client(s3).put_object(Bucket=s3.bucket, Key="a", Body=CONTENT)
    with pytest.raises(SourceDenied) as denied:
        fetch(ObjectSource(client(s3, **changes), s3.bucket, "a"), tmp_path / "x")
    assert "wrong" not in denied.value.message


def test_nobody_answers(s3: S3, tmp_path: Path) -> None:
    gone = client(s3, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(SourceUnreachable, match="does not respond"):
        fetch(ObjectSource(gone, s3.bucket, "a"), tmp_path / "x", replace(LIMITS, resumes=0))


def test_too_large_and_empty(s3: S3, tmp_path: Path) -> None:
    client(s3).put_object(Bucket=s3.bucket, Key="large", Body=CONTENT)
    client(s3).put_object(Bucket=s3.bucket, Key="empty", Body=b"")
    with pytest.raises(SourceTooLarge, match="3000000"):
        fetch(ObjectSource(client(s3), s3.bucket, "large"), tmp_path / "x", replace(LIMITS, max_bytes=2_999_999))
    with pytest.raises(AudioEmpty):
        fetch(ObjectSource(client(s3), s3.bucket, "empty"), tmp_path / "x")


def test_a_broken_download_is_continued(s3: S3, tmp_path: Path) -> None:
    client(s3).put_object(Bucket=s3.bucket, Key="a", Body=CONTENT)
    with broken_line(s3.endpoint_url, after=1_000_000, times=2) as (endpoint, requests):
        assert fetch(ObjectSource(client(s3, endpoint_url=endpoint), s3.bucket, "a"), tmp_path / "x") == CONTENT
    starts = [line for line in b"".join(requests).split(b"\r\n") if line.lower().startswith(b"range: bytes=")]
    offsets = [int(line.partition(b"=")[2].rstrip(b"-")) for line in starts]
    assert len(offsets) == 2
    assert 500_000 < offsets[0] < offsets[1] < 2_100_000


def test_an_object_that_changed_in_between_begins_anew(s3: S3, tmp_path: Path) -> None:
    client(s3).put_object(Bucket=s3.bucket, Key="a", Body=CONTENT)
    changed = CONTENT[::-1]
    replaced: list[int] = []

    with broken_line(s3.endpoint_url, after=1_000_000, times=1) as (endpoint, _):
        source = ObjectSource(client(s3, endpoint_url=endpoint), s3.bucket, "a")

        def opened(offset: int, version: str | None) -> Any:
            if offset and not replaced:
                client(s3).put_object(Bucket=s3.bucket, Key="a", Body=changed)
                replaced.append(offset)
            return source.open(offset, version)

        download(opened, tmp_path / "x", LIMITS, lambda: None)
    assert replaced
    assert (tmp_path / "x").read_bytes() == changed


def test_a_download_stops_between_chunks(s3: S3, tmp_path: Path) -> None:
    client(s3).put_object(Bucket=s3.bucket, Key="a", Body=CONTENT)
    signal = StopSignal()

    def check() -> None:
        if (tmp_path / "x").stat().st_size > 1_000_000:
            signal.request(StopReason.CANCELED)
        signal.check()

    with pytest.raises(Stopped):
        download(ObjectSource(client(s3), s3.bucket, "a").open, tmp_path / "x", LIMITS, check)
    assert (tmp_path / "x").stat().st_size < len(CONTENT)
