"""Fetching from and into object stores, and onto disks that are full."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from common import jobs
from common.db import Database
from common.errors import (
    SourceDenied,
    SourceNotAllowed,
    StorageFull,
)
from common.settings import Settings
from common.storage import make_storage
from tests.db.sources.cases import CONTENT, SHA256, keys, link, local, nothing, scratch_is_empty
from tests.db.test_source_object import client
from tests.servers import S3, HttpServer
from worker.transcription.fetching.fetcher import Fetcher


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small disk here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("full", ["scratch", "storage"])
def test_a_full_disk_is_said_so(
    settings: Settings, database: Database, http_server: HttpServer, small_disk: Path, full: str
) -> None:
    (http_server.directory / "a.mp3").write_bytes(CONTENT)
    place = {"scratch_dir": small_disk} if full == "scratch" else {"storage_url": f"file:{small_disk}"}
    changed = settings.model_copy(update=place)
    claim = link(database, http_server.url("a.mp3"))
    with pytest.raises(StorageFull):
        Fetcher(changed, database, make_storage(changed)).copy_link(claim, nothing)
    assert not [path for path in small_disk.rglob("*") if path.is_file()]
    assert scratch_is_empty(changed)
    assert jobs.get(database, claim.job.id).source.audio_key is None


def test_other_errors_of_the_disk_are_not_called_full(settings: Settings, database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    changed = settings.model_copy(update={"scratch_dir": tmp_path / "file"})
    with (
        pytest.raises(OSError) as caught,  # noqa: PT011 (the number is asserted below)
        Fetcher(changed, database, make_storage(changed)).fetch(link(database, None, key="a"), nothing),
    ):
        pytest.fail("there is no such directory")
    assert caught.value.errno in {errno.ENOTDIR, errno.EEXIST}


@pytest.mark.parametrize("name", ["录音/第 1 次 会议.mp3", "100%.mp3", "a+b.mp3"])
@pytest.mark.parametrize("scheme", ["s3", "oss", "S3"])
def test_object_links_use_their_own_settings(
    settings: Settings, database: Database, s3: S3, scheme: str, name: str
) -> None:
    changed = settings.model_copy(update=object_settings(s3))
    client(s3).put_object(Bucket=s3.bucket, Key=name, Body=CONTENT)
    written = name.replace("%", "%25").replace(" ", "%20")
    claim = link(database, f"{scheme}://{s3.bucket}/{written}")
    with local(Fetcher(changed, database, make_storage(changed)), claim, nothing) as path:
        assert path.read_bytes() == CONTENT
    assert jobs.get(database, claim.job.id).source.audio_sha256 == SHA256
    assert scratch_is_empty(changed)


def test_wrong_credentials_are_a_refusal_and_not_told(settings: Settings, database: Database, s3: S3) -> None:
    client(s3).put_object(Bucket=s3.bucket, Key="a", Body=CONTENT)
    values = object_settings(s3) | {"oss_access_key_secret": SecretStr("a-wrong-secret")}
    changed = settings.model_copy(update=values)
    claim = link(database, f"oss://{s3.bucket}/a")
    with pytest.raises(SourceDenied) as denied:
        Fetcher(changed, database, make_storage(changed)).copy_link(claim, nothing)
    assert "secret" not in denied.value.message
    assert scratch_is_empty(changed)


def test_storage_may_be_an_object_store(
    settings: Settings, database: Database, s3: S3, http_server: HttpServer
) -> None:
    stored = {
        "storage_url": f"s3://{s3.bucket}/some/prefix",
        "s3_endpoint_url": s3.endpoint_url,
        "s3_access_key_id": s3.access_key_id,
        "s3_secret_access_key": SecretStr(s3.secret_access_key),
    }
    changed = settings.model_copy(update=stored)
    (http_server.directory / "a.mp3").write_bytes(CONTENT)
    claim = link(database, http_server.url("a.mp3"))
    storage = make_storage(changed)
    with local(Fetcher(changed, database, storage), claim, nothing) as path:
        assert path.read_bytes() == CONTENT
        assert changed.scratch_dir in path.parents
    assert scratch_is_empty(changed)
    assert keys(storage) == [jobs.get(database, claim.job.id).source.audio_key]


def object_settings(store: S3) -> dict[str, object]:
    return {
        "source_s3_endpoint_url": store.endpoint_url,
        "source_s3_access_key_id": store.access_key_id,
        "source_s3_secret_access_key": SecretStr(store.secret_access_key),
        "source_s3_buckets": ("test-*",),
        "oss_buckets": ("test-*",),
        "oss_endpoint_url": store.endpoint_url,
        "oss_region": store.region,
        "oss_access_key_id": store.access_key_id,
        "oss_access_key_secret": SecretStr(store.secret_access_key),
        "oss_addressing_style": "path",
    }


@pytest.mark.parametrize("endpoint", ["http://s3.internal:8333", "https://audio.example"])
def test_a_link_to_the_storage_itself_is_refused_by_either_of_its_names(
    endpoint: str, settings: Settings, database: Database
) -> None:
    changed = settings.model_copy(
        update={
            "storage_url": "s3://audio/prefix",
            "s3_endpoint_url": "http://s3.internal:8333",
            "s3_public_endpoint_url": "https://audio.example",
            "source_s3_endpoint_url": endpoint,
            "source_s3_access_key_id": "key",
            "source_s3_secret_access_key": SecretStr("secret"),
            "source_s3_buckets": ("*",),
        }
    )
    fetcher = Fetcher(changed, database, make_storage(changed))
    with pytest.raises(SourceNotAllowed, match="storage of this installation"):
        fetcher.copy_link(link(database, "s3://audio/other.mp3"), nothing)
