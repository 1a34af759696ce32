"""What every storage does, on a directory and on a real S3 server; and what only one of them does."""

from __future__ import annotations

import hashlib
import os
import resource
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.errors import SourceNotFound, StorageFull, StorageUnavailable
from common.settings import Settings
from common.storage import LocalStorage, S3Storage, Storage, Stored, make_storage, s3_client
from common.storage.local import LocalWriter
from common.storage.protocol import PartialObject
from common.storage.s3 import PART_BYTES
from tests.db.job_cases import at_once, s3_that_is_away
from tests.servers import S3

MEBIBYTE = 1024 * 1024


def client_of(s3: S3) -> Any:
    return s3_client(
        endpoint_url=s3.endpoint_url,
        region=s3.region,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
        addressing_style="path",
        checksums="when_supported",
    )


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


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "scratch"
    path.mkdir()
    return path


def put(storage: Storage, key: str, *pieces: bytes) -> Stored:
    writer = storage.writer(key)
    for piece in pieces:
        writer.write(piece)
    return writer.commit()


def keys(storage: Storage, prefix: str = "") -> list[str]:
    return sorted(key for key, _ in storage.keys(prefix))


def stored(content: bytes) -> Stored:
    return Stored(len(content), hashlib.sha256(content).hexdigest())


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


def test_local_survives_the_removal_of_a_directory_between_any_two_system_calls(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process deletes the directory's last object at the worst moments: after `mkdir` and within it."""
    storage = LocalStorage(tmp_path)
    moments = {"within mkdir": 3, "after mkdir": 3}
    mkdir = Path.mkdir

    def removed_after(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        if path.name == "a" and parents and moments["within mkdir"]:
            moments["within mkdir"] -= 1
            raise FileExistsError(17, "File exists")  # what `mkdir` says if the directory goes before its `is_dir`
        mkdir(path, mode=mode, parents=parents, exist_ok=exist_ok)
        if path.name == "a" and parents and moments["after mkdir"]:
            moments["after mkdir"] -= 1
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", removed_after)
    put(storage, "audio/a/1", b"x")
    assert moments == {"within mkdir": 0, "after mkdir": 0}
    storage.delete("audio/a/1")
    moments.update({"within mkdir": 3, "after mkdir": 3})
    appender = storage.appender("audio/a/2", PartialObject(0), reserve=lambda: 1, part_bytes=MEBIBYTE)
    appender.write(b"y")
    storage.finish("audio/a/2", appender.keep(last=True))
    appender.close()
    assert moments == {"within mkdir": 0, "after mkdir": 0}
    assert storage.fetch("audio/a/2", scratch).read_bytes() == b"y"


def test_local_reports_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "audio").write_bytes(b"a file where a directory belongs")
    with pytest.raises(StorageUnavailable):
        put(LocalStorage(tmp_path), "audio/a/1", b"x")


def test_local_lists_and_cleans_up_while_files_and_directories_vanish(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)

    def write_and_delete() -> None:
        own = secrets.token_hex(4)
        for index in range(200):
            put(storage, f"audio/{index}/{own}", b"x")
            storage.delete(f"audio/{index}/{own}")

    def list_and_clean_up() -> None:
        for _ in range(200):
            list(storage.keys("audio/"))
            storage.delete_unfinished(datetime.now(UTC) - timedelta(hours=1), lambda _: True)

    at_once([write_and_delete, write_and_delete, list_and_clean_up, list_and_clean_up])


def test_non_ascii_keys(storage: Storage, scratch: Path) -> None:
    put(storage, "audio/a/会议 1.wav", b"x")
    assert keys(storage) == ["audio/a/会议 1.wav"]
    assert storage.fetch("audio/a/会议 1.wav", scratch).read_bytes() == b"x"


@pytest.mark.parametrize("key", ["../outside", "audio/../../outside", "/etc/paraqueue-test"])
def test_local_refuses_keys_that_lead_out(tmp_path: Path, scratch: Path, key: str) -> None:
    storage = LocalStorage(tmp_path / "storage")
    (tmp_path / "outside").write_text("secret")
    for call in (
        lambda: storage.writer(key),
        lambda: storage.fetch(key, scratch),
        lambda: storage.delete(key),
    ):
        with pytest.raises(ValueError, match="leads out"):
            call()
    assert (tmp_path / "outside").read_text() == "secret"


def test_local_fetch_copies_nothing(tmp_path: Path, scratch: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    put(storage, "audio/a/1", b"x")
    storage.fetch("audio/a/1", scratch)
    assert list(scratch.iterdir()) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow past 1 MiB; Python ignores the signal and gets EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_local_without_room_says_so(tmp_path: Path, small_files: None) -> None:  # noqa: ARG001
    storage = LocalStorage(tmp_path / "storage")
    writer = storage.writer("audio/a/1")
    with pytest.raises(StorageFull):
        writer.write(b"x" * (MEBIBYTE + 1))
    writer.abort()
    assert keys(storage) == []
    assert list((storage.root / ".incoming").iterdir()) == []
    put(storage, "audio/a/1", b"small")


def test_local_disk_that_is_full_says_so() -> None:
    """/dev/full answers every write with ENOSPC."""
    writer = LocalWriter(Path("/dev/full"), Path("/nowhere"))
    with pytest.raises(StorageFull):
        writer.write(b"x")
    writer._file.close()


def test_local_root_that_is_no_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    storage = LocalStorage(tmp_path / "file" / "storage")
    with pytest.raises(StorageUnavailable):
        storage.writer("audio/a/1")
    with pytest.raises(StorageUnavailable):
        storage.check()


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
