"""What a storage in a directory does, and others need not."""

from __future__ import annotations

import resource
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from common.errors import StorageFull, StorageUnavailable
from common.storage import LocalStorage
from common.storage.local import LocalWriter
from common.storage.protocol import PartialObject
from tests.db.job_cases import at_once
from tests.db.storage_cases import MEBIBYTE, keys, put


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
