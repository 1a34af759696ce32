"""What every storage does, on a directory and on a real S3 server; and what only S3 does."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.errors import SourceNotFound, StorageUnavailable
from common.settings import Settings
from common.storage import LocalStorage, S3Storage, Storage, make_storage
from common.storage.s3 import PART_BYTES
from tests.db.job_cases import at_once, s3_that_is_away
from tests.db.storage_cases import MEBIBYTE, client_of, keys, put, stored
from tests.servers import S3


@pytest.fixture(scope="module")
def bucket(s3_server: S3) -> S3:
    """One bucket for all tests here: making one takes SeaweedFS seconds."""
    made = replace(s3_server, bucket=f"storage-{secrets.token_hex(6)}")
    client_of(made).create_bucket(Bucket=made.bucket)
    return made


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path / "storage")
    bucket: S3 = request.getfixturevalue("bucket")
    return S3Storage(client_of(bucket), bucket.bucket, f"some/{secrets.token_hex(6)}")


def test_what_is_written_can_be_fetched(storage: Storage, scratch: Path) -> None:
    assert put(storage, "audio/a/upload", b"one ", b"", b"two") == stored(b"one two")
    assert storage.fetch("audio/a/upload", scratch).read_bytes() == b"one two"


def test_nothing_is_visible_before_the_commit(storage: Storage, scratch: Path) -> None:
    writer = storage.writer("audio/a/upload")
    writer.write(b"x" * MEBIBYTE)
    assert keys(storage) == []
    with pytest.raises(SourceNotFound):
        storage.fetch("audio/a/upload", scratch)
    writer.commit()
    assert keys(storage) == ["audio/a/upload"]


def test_abort_leaves_nothing(storage: Storage) -> None:
    writer = storage.writer("audio/a/upload")
    writer.write(b"x")
    writer.abort()
    writer.abort()
    assert keys(storage) == []


def test_abort_after_the_commit_does_nothing(storage: Storage, scratch: Path) -> None:
    writer = storage.writer("audio/a/upload")
    writer.write(b"x")
    writer.commit()
    writer.abort()
    assert storage.fetch("audio/a/upload", scratch).read_bytes() == b"x"


def test_an_empty_object_is_an_object(storage: Storage, scratch: Path) -> None:
    assert put(storage, "audio/a/upload") == stored(b"")
    assert storage.fetch("audio/a/upload", scratch).read_bytes() == b""


def test_a_large_object_is_whole(storage: Storage, scratch: Path) -> None:
    """Three parts on S3, fed in pieces that do not divide them."""
    content = os.urandom(MEBIBYTE) * 37
    step = 3 * MEBIBYTE + 17
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    assert len(content) > 2 * PART_BYTES
    assert put(storage, "audio/a/upload", *pieces) == stored(content)
    assert hashlib.sha256(storage.fetch("audio/a/upload", scratch).read_bytes()).digest() == (
        hashlib.sha256(content).digest()
    )


def test_a_large_abort_leaves_nothing(storage: Storage) -> None:
    writer = storage.writer("audio/a/upload")
    writer.write(b"x" * (PART_BYTES + 1))
    writer.abort()
    assert keys(storage) == []
    assert storage.delete_unfinished(datetime.now(UTC) + timedelta(hours=1), keep=lambda _: False) == 0


def test_what_a_killed_process_left_is_deleted_when_it_is_old(storage: Storage) -> None:
    storage.writer("audio/a/upload").write(b"x" * (PART_BYTES + 1))
    now = datetime.now(UTC)
    assert storage.delete_unfinished(now - timedelta(hours=1), keep=lambda _: False) == 0
    assert storage.delete_unfinished(now + timedelta(hours=1), keep=lambda _: False) == 1
    assert storage.delete_unfinished(now + timedelta(hours=1), keep=lambda _: False) == 0


def test_the_last_commit_wins(storage: Storage, scratch: Path) -> None:
    put(storage, "audio/a/upload", b"first")
    put(storage, "audio/a/upload", b"second")
    assert storage.fetch("audio/a/upload", scratch).read_bytes() == b"second"


def test_a_missing_object_is_said_and_leaves_no_scratch(storage: Storage, scratch: Path) -> None:
    with pytest.raises(SourceNotFound):
        storage.fetch("audio/a/upload", scratch)
    assert list(scratch.iterdir()) == []


def test_delete_is_of_one_object_and_fine_twice(storage: Storage) -> None:
    put(storage, "audio/a/1", b"x")
    put(storage, "audio/a/2", b"x")
    storage.delete("audio/a/1")
    storage.delete("audio/a/1")
    assert keys(storage) == ["audio/a/2"]


def test_delete_all_is_of_one_prefix(storage: Storage) -> None:
    for key in ("audio/a/1", "audio/a/2", "audio/ab/1", "other/a/1"):
        put(storage, key, b"x")
    storage.delete_all("audio/a/")
    storage.delete_all("audio/none/")
    assert keys(storage) == ["audio/ab/1", "other/a/1"]
    assert keys(storage, "audio/") == ["audio/ab/1"]


def test_keys_come_with_the_time_of_the_change(storage: Storage) -> None:
    put(storage, "audio/a/1", b"x")
    [(key, changed_at)] = storage.keys("audio/")
    assert key == "audio/a/1"
    assert abs(changed_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_check_passes_and_leaves_nothing(storage: Storage) -> None:
    storage.check()
    assert keys(storage) == []


def test_checks_at_once_do_not_trip_over_one_another(storage: Storage) -> None:
    """Readiness is asked for by several probes of several processes."""

    def check_often() -> None:
        for _ in range(10):
            storage.check()

    at_once([check_often] * 4)


def test_non_ascii_keys(storage: Storage, scratch: Path) -> None:
    put(storage, "audio/a/会议 1.wav", b"x")
    assert keys(storage) == ["audio/a/会议 1.wav"]
    assert storage.fetch("audio/a/会议 1.wav", scratch).read_bytes() == b"x"


def test_s3_that_is_away_is_unavailable(scratch: Path) -> None:
    storage = s3_that_is_away()
    for call in (
        lambda: storage.check(),
        lambda: storage.fetch("audio/a/1", scratch),
        lambda: storage.delete("audio/a/1"),
        lambda: list(storage.keys("audio/")),
        lambda: storage.writer("audio/a/1").write(b"x" * PART_BYTES),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            call()
        assert "secret" not in caught.value.message


def test_s3_with_a_wrong_secret_is_unavailable_and_keeps_it(bucket: S3, scratch: Path) -> None:
    storage = S3Storage(client_of(replace(bucket, secret_access_key="wrong-secret")), bucket.bucket)
    for call in (lambda: put(storage, "k", b"x"), lambda: storage.fetch("k", scratch), storage.check):
        with pytest.raises(StorageUnavailable) as caught:
            call()
        assert "wrong-secret" not in caught.value.message


def test_s3_without_its_bucket_is_unavailable_not_missing_audio(bucket: S3) -> None:
    """A defect of the installation is not reported to the client as a problem of the audio."""
    storage = S3Storage(client_of(bucket), "no-such-bucket-at-all")
    with pytest.raises(StorageUnavailable):
        list(storage.keys("audio/"))


def test_s3_keeps_many_pages_of_keys(s3: S3) -> None:
    storage = S3Storage(client_of(s3), s3.bucket)
    paginator = storage._client.get_paginator
    storage._client.get_paginator = lambda name: _Small(paginator(name))
    for number in range(5):
        put(storage, f"audio/{number}/upload", b"x")
    assert len(keys(storage, "audio/")) == 5
    storage.delete_all("audio/")
    assert keys(storage) == []


class _Small:
    """Pages of two, so that there are several."""

    def __init__(self, paginator: Any) -> None:
        self._paginator = paginator

    def paginate(self, **arguments: Any) -> Any:
        return self._paginator.paginate(**arguments, PaginationConfig={"PageSize": 2})


def test_settings_choose_the_storage(s3: S3, tmp_path: Path) -> None:
    local = make_storage(Settings(storage_url=f"file:{tmp_path / 'storage'}"))
    assert isinstance(local, LocalStorage)
    assert local.root == tmp_path / "storage"
    remote = make_storage(
        Settings(
            storage_url=f"s3://{s3.bucket}/in/here/",
            s3_endpoint_url=s3.endpoint_url,
            s3_access_key_id=s3.access_key_id,
            s3_secret_access_key=s3.secret_access_key,
        )
    )
    put(remote, "audio/a/1", b"x")
    listed = client_of(s3).list_objects_v2(Bucket=s3.bucket)["Contents"]
    assert [item["Key"] for item in listed] == ["in/here/audio/a/1"]
