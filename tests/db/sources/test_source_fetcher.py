"""The audio of a job as a local file: copied to storage first, read from there ever after."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from common import ids, jobs
from common import keys as api_keys
from common.db import Database
from common.errors import (
    ParaqueueError,
    SourceNotAllowed,
    SourceNotFound,
    SourceTooLarge,
)
from common.jobs import Claim, LeaseLost, Submission
from common.keys import NewKey
from common.tenants import OwnLimits
from tests.db.job_cases import expire_lease
from tests.db.sources.cases import CONTENT, SHA256, again, keys, link, local, nothing, scratch_is_empty
from tests.db.test_source_http import status
from tests.servers import HttpServer
from worker.transcription.fetching.fetcher import Fetcher
from worker.transcription.stop import Stopped, StopReason, StopSignal


def test_a_link_is_copied_and_recorded(fetcher: Fetcher, database: Database, http_server: HttpServer) -> None:
    (http_server.directory / "a.mp3").write_bytes(CONTENT)
    claim = link(database, http_server.url("a.mp3"))
    with local(fetcher, claim, nothing) as path:
        assert path.read_bytes() == CONTENT
        source = jobs.get(database, claim.job.id).source
        assert (source.audio_bytes, source.audio_sha256) == (len(CONTENT), SHA256)
        assert source.audio_key == f"audio/{claim.job.id.hex}/{claim.token.hex}"
    assert keys(fetcher.storage) == [source.audio_key]
    assert scratch_is_empty(fetcher.settings)


def test_the_name_is_the_servers_if_it_gives_one(fetcher: Fetcher, database: Database, http_server: HttpServer) -> None:
    headers = {"Content_Disposition": "attachment; filename*=UTF-8''%E4%BC%9A%E8%AE%AE.mp3"}
    http_server.routes["/download"] = status(200, CONTENT, **headers)
    http_server.routes["/plain"] = status(200, CONTENT)
    for path, name in (("download", "会议.mp3"), ("plain", "before.mp3")):
        url = http_server.url(path)
        job = jobs.submit(database, Submission(ids.new_id(), "demo-zh", "http", url=url, name="before.mp3"))
        with local(fetcher, again(database, job.id), nothing):
            assert jobs.get(database, job.id).source.name == name


def test_a_second_attempt_reads_the_copy(fetcher: Fetcher, database: Database, http_server: HttpServer) -> None:
    path = http_server.directory / "a.mp3"
    path.write_bytes(CONTENT)
    first = link(database, http_server.url("a.mp3"))
    with local(fetcher, first, nothing):
        path.unlink()
    expire_lease(database, first.job.id)
    jobs.rescue_expired(database)
    with fetcher.fetch(again(database, first.job.id), nothing) as copy:
        assert copy.read_bytes() == CONTENT
    assert len(http_server.requests) == 1


def test_an_upload_is_read_where_it_lies(fetcher: Fetcher, database: Database) -> None:
    writer = fetcher.storage.writer("audio/00/upload")
    writer.write(CONTENT)
    writer.commit()
    with fetcher.fetch(link(database, None, key="audio/00/upload"), nothing) as path:
        assert path.read_bytes() == CONTENT
    assert path.exists()
    assert scratch_is_empty(fetcher.settings)


def test_deleted_audio_is_said_so(fetcher: Fetcher, database: Database) -> None:
    with pytest.raises(SourceNotFound), fetcher.fetch(link(database, None, key="audio/00/gone"), nothing):
        pytest.fail("there is nothing to fetch")
    with pytest.raises(SourceNotFound):
        fetcher.copy_link(link(database, None), nothing)
    assert scratch_is_empty(fetcher.settings)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("{server}/missing.mp3", SourceNotFound),
        ("{server}/large.mp3", SourceTooLarge),
        ("http://10.0.0.1/a.mp3", SourceNotAllowed),
        ("http://\u200b/a.mp3", SourceNotAllowed),
        ("oss://bucket/a.mp3", SourceNotAllowed),
    ],
)
def test_nothing_stays_behind_after_an_error(
    fetcher: Fetcher, database: Database, http_server: HttpServer, url: str, error: type[ParaqueueError]
) -> None:
    (http_server.directory / "large.mp3").write_bytes(CONTENT * 2)
    claim = link(database, url.format(server=http_server.url().rstrip("/")))
    with pytest.raises(error):
        fetcher.copy_link(claim, nothing)
    assert scratch_is_empty(fetcher.settings)
    assert keys(fetcher.storage) == []
    assert jobs.get(database, claim.job.id).source.audio_key is None


def test_a_key_has_no_more_fetched_than_it_may_upload(
    fetcher: Fetcher, database: Database, http_server: HttpServer
) -> None:
    (http_server.directory / "a.mp3").write_bytes(CONTENT)

    def fetched_by(limit: int | None) -> bytes:
        key, _ = api_keys.create(database, NewKey("test", limits=OwnLimits(max_upload_bytes=limit)))
        with local(fetcher, link(database, http_server.url("a.mp3"), key_id=key.id), nothing) as path:
            return path.read_bytes()

    for limit in (None, 0, len(CONTENT), 10 * len(CONTENT)):
        assert fetched_by(limit) == CONTENT
    with pytest.raises(SourceTooLarge):
        fetched_by(len(CONTENT) - 1)
    assert scratch_is_empty(fetcher.settings)


def test_nothing_stays_behind_after_a_stop(fetcher: Fetcher, database: Database, http_server: HttpServer) -> None:
    (http_server.directory / "a.mp3").write_bytes(CONTENT)
    claim = link(database, http_server.url("a.mp3"))
    signal, calls = StopSignal(), []

    def check() -> None:
        calls.append(1)
        if len(list(fetcher.settings.scratch_dir.rglob("*"))) > 1 and keys_in_progress(fetcher):
            signal.request(StopReason.SHUTDOWN)
        signal.check()

    with pytest.raises(Stopped):
        fetcher.copy_link(claim, check)
    assert scratch_is_empty(fetcher.settings)
    assert not keys_in_progress(fetcher)
    assert keys(fetcher.storage) == []


def keys_in_progress(fetcher: Fetcher) -> list[Path]:
    root = Path(fetcher.settings.storage_url.removeprefix("file:"))
    return list((root / ".incoming").glob("*"))


def test_an_error_of_the_caller_passes_through_and_leaves_nothing(
    fetcher: Fetcher, database: Database, http_server: HttpServer
) -> None:
    (http_server.directory / "a.mp3").write_bytes(CONTENT)
    with pytest.raises(ZeroDivisionError), local(fetcher, link(database, http_server.url("a.mp3")), nothing):
        raise ZeroDivisionError
    assert scratch_is_empty(fetcher.settings)


def test_a_fenced_off_worker_records_nothing(fetcher: Fetcher, database: Database, http_server: HttpServer) -> None:
    (http_server.directory / "a.mp3").write_bytes(CONTENT)
    claim = link(database, http_server.url("a.mp3"))
    jobs.release(database, claim, stage_ms={})
    new = again(database, claim.job.id)
    with local(fetcher, new, nothing):
        pass
    with pytest.raises(LeaseLost), local(fetcher, claim, nothing):
        pytest.fail("the job is another's")
    source = jobs.get(database, claim.job.id).source
    assert source.audio_key is not None
    assert source.audio_key.endswith(new.token.hex)
    assert fetcher.storage.fetch(source.audio_key, fetcher.settings.scratch_dir).read_bytes() == CONTENT
    assert scratch_is_empty(fetcher.settings)


def test_many_fetch_at_once(fetcher: Fetcher, database: Database, http_server: HttpServer) -> None:
    (http_server.directory / "a.mp3").write_bytes(CONTENT)
    claims = [link(database, http_server.url("a.mp3")) for _ in range(4)]
    got: list[bytes] = []

    def fetch(claim: Claim) -> None:
        with local(fetcher, claim, nothing) as path:
            got.append(path.read_bytes())

    threads = [threading.Thread(target=fetch, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == [CONTENT] * 4
    assert scratch_is_empty(fetcher.settings)
