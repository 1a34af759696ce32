"""An object store that stops responding midway: the job can still be canceled at once, and leaves nothing behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from common import ids, jobs
from common.db import Database
from common.jobs import Claim, Submission
from common.settings import Settings
from common.storage import make_storage
from dev.postgres import Postgres
from tests.db.job_cases import claimed, emptied, pool_on
from tests.waiting import until
from worker.transcription.fetching.fetcher import Fetcher
from worker.transcription.fetching.interruptible import interruptible
from worker.transcription.stop import Stopped, StopReason, StopSignal

HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nContent-Type: audio/mpeg\r\nETag: "a"\r\n\r\n' + b"\x01" * 50_000


@pytest.fixture(scope="module")
def shared_database(postgres: Postgres) -> Iterator[Database]:
    with pool_on(postgres) as database:
        yield database


@pytest.fixture
def database(shared_database: Database) -> Database:
    return emptied(shared_database)


class Silent:
    """Accepts connections, says `words` once it is asked something, and then nothing until it is closed."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.requested = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                connection.recv(65536)
                connection.sendall(self._words)
                self.requested.set()

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


@contextmanager
def silent(words: bytes) -> Iterator[Silent]:
    server = Silent(words)
    try:
        yield server
    finally:
        server.close()


def settings_for(server: Silent, tmp_path: Path, *, own_storage: bool) -> Settings:
    """Settings whose storage, or whose source of links, is the silent server."""
    common: dict[str, Any] = {"scratch_dir": tmp_path / "scratch", "max_upload_bytes": 3_000_000}
    key, secret = "key", SecretStr("secret")
    if own_storage:
        values: dict[str, Any] = {"storage_url": "s3://bucket", "s3_endpoint_url": server.url, "s3_access_key_id": key}
        return Settings(**common, **values, s3_secret_access_key=secret)
    values = {"source_s3_endpoint_url": server.url, "source_s3_access_key_id": key, "source_s3_buckets": ("*",)}
    place = f"file:{tmp_path / 'storage'}"
    return Settings(**common, **values, storage_url=place, source_s3_secret_access_key=secret)


def held(database: Database, *, url: str | None, key: str | None = None) -> Claim:
    kind = "s3" if url else "upload"
    job = jobs.submit(database, Submission(ids.new_id(), "demo-zh", kind, url=url, audio_key=key))
    return claimed(database, job)


def calls_left_behind() -> int:
    """The number of library calls that still hang although their results are no longer needed."""
    return len([thread for thread in threading.enumerate() if thread.name == "interruptible"])


def cancel_in_the_silence(server: Silent, fetcher: Fetcher, claim: Claim) -> None:
    """Cancel after the store was called; returns when the attempt has ended."""
    signal = StopSignal()

    def cancel() -> None:
        assert server.requested.wait(60)
        signal.request(StopReason.CANCELED)

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Stopped):
        if claim.job.source.audio_key is None:
            fetcher.copy_link(claim, signal.check)
        else:
            with fetcher.fetch(claim, signal.check):
                pass
    thread.join()


@pytest.mark.parametrize("words", [b"", HALF], ids=["before an answer", "in the middle of one"])
@pytest.mark.parametrize("own_storage", [True, False], ids=["storage", "link"])
def test_cancel_does_not_wait_for_a_silent_store(
    database: Database, tmp_path: Path, words: bytes, own_storage: bool
) -> None:
    with silent(words) as server:
        settings = settings_for(server, tmp_path, own_storage=own_storage)
        fetcher = Fetcher(settings, database, make_storage(settings))
        claim = held(database, url=None, key="audio/x/upload") if own_storage else held(database, url="s3://other/a")
        cancel_in_the_silence(server, fetcher, claim)
        assert calls_left_behind() == 1, "the attempt waited for the store to give up"
    until(lambda: not list(settings.scratch_dir.iterdir()), 60)


def test_a_call_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """It removes what it creates later."""
    go_on, entered = threading.Event(), threading.Event()

    def hang() -> str:
        entered.set()
        assert go_on.wait(120)
        (tmp_path / "made").write_text("later")
        return "done"

    signal = StopSignal()

    def lose_the_lease() -> None:
        entered.wait(30)
        signal.request(StopReason.LOST)

    threading.Thread(target=lose_the_lease).start()
    with pytest.raises(Stopped):
        interruptible(hang, signal.check, left_behind=lambda: (tmp_path / "made").unlink())
    assert not (tmp_path / "made").exists()
    go_on.set()
    until(lambda: not (tmp_path / "made").exists() and not calls_left_behind())


@pytest.mark.parametrize("error", [TimeoutError("its own"), ValueError("another"), None])
def test_what_the_call_says_is_what_the_caller_gets(error: Exception | None) -> None:
    checked = threading.Event()

    def call() -> int:
        assert checked.wait(60), "nobody checked meanwhile"
        if error is not None:
            raise error
        return 7

    if error is None:
        assert interruptible(call, checked.set, left_behind=lambda: None) == 7
    else:
        with pytest.raises(type(error), match=str(error)):
            interruptible(call, checked.set, left_behind=lambda: None)
