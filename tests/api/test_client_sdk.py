"""The Python client's calls against the API: what it takes, what it returns, and how it is set up."""

from __future__ import annotations

import asyncio
import io
import os
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import BinaryIO, cast

import httpx
import pytest
from pydantic import SecretStr

from common import ids, jobs
from dev.postgres import Postgres
from dev.valkey import Valkey
from paraqueue import ApiError, AsyncClient, Client, ConfigurationError, ConnectionFailed, NotFound, ParaqueueError
from tests.api.api_cases import Api, shared_api
from tests.db.job_cases import claimed, completed, execute, fail
from tests.db.webhook_cases import KEY, OWN_SECRET
from tests.servers import ADMIN_KEY, HttpServer

LINK = "https://files.example.com/meeting.mp3"
# FLAC: browsers play it, so the recording is returned as it came.
FLAC = b"fLaC" + bytes(60)


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    more = {"secret_key": SecretStr(KEY), "webhook_secret": SecretStr(OWN_SECRET)}
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), **more) as api:
        yield api


@pytest.fixture
def url(api: Api) -> str:
    return str(api.client.base_url).rstrip("/")


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, ADMIN_KEY) as client:
        yield client


def stored(api: Api, id: str) -> bytes:
    source = jobs.get(api.database, ids.parsed(ids.JOB, id)).source
    assert source.audio_key is not None
    assert source.audio_bytes is not None
    return b"".join(api.storage.read(source.audio_key, 0, source.audio_bytes))


def test_everything_that_holds_audio_can_be_submitted(api: Api, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "会议.wav"
    path.write_bytes(b"RIFF path")
    reading, writing = os.pipe()
    with path.open("rb") as file, os.fdopen(reading, "rb") as pipe:
        os.write(writing, b"RIFF pipe")
        os.close(writing)
        submitted = {
            b"RIFF path": [client.submit(path), client.submit(str(path)), client.submit(file)],
            b"RIFF bytes": [client.submit(b"RIFF bytes", name="b.wav"), client.submit(io.BytesIO(b"RIFF bytes"))],
            b"RIFF pipe": [client.submit(cast(BinaryIO, pipe), name="p.wav")],
        }
    for content, made in submitted.items():
        assert [stored(api, job.id) for job in made] == [content] * len(made)
    names = [job.source.name for made in submitted.values() for job in made]
    assert names == ["会议.wav", "会议.wav", "会议.wav", "b.wav", "audio", "p.wav"]
    linked = client.submit(LINK, tags=["a"])
    assert (linked.source.kind, linked.source.url, linked.status) == ("https", LINK, "queued")


def test_the_async_client_submits_bytes_and_fetches_audio(api: Api, url: str) -> None:
    async def both() -> tuple[str, bytes]:
        async with AsyncClient(url, ADMIN_KEY) as client:
            job = await client.submit(io.BytesIO(FLAC), name="a.flac")
            return job.id, await client.audio(job.id)

    id, audio = asyncio.run(both())
    assert stored(api, id) == audio == FLAC


def test_lists_can_be_narrowed(client: Client) -> None:
    batch = client.submit_batch([LINK, "https://files.example.com/2.mp3", "ftp://x"], tags=["b"], priority=3)
    assert (batch.status, batch.total, batch.counts["refused"]) == ("processing", 3, 1)
    assert [item.status for item in batch.items] == ["queued", "queued", "refused"]
    assert batch.items[2].error is not None
    client.submit(LINK)
    assert len(list(client.list())) == 3
    assert {job.batch_id for job in client.list(batch=batch.id)} == {batch.id}
    job = client.page(batch=batch.id, limit=1).data[0]
    assert (job.priority, job.tags) == (3, ("b",))
    assert [item.id for item in client.batches().data] == [batch.id]
    assert client.batch(batch.id).items[0].id in {item.id for item in client.list(batch=batch.id)}
    assert len(list(client.list(created_from=job.created_at))) >= 1
    assert list(client.list(created_to="2026-01-01T00:00:00Z")) == []
    with pytest.raises(NotFound):
        client.batch("batch_" + "0" * 32)


def test_sentences_are_found_and_paged(api: Api, client: Client) -> None:
    job = completed(api.database, None, "你好，世界。", "再见，世界。")
    page = client.sentence_page(job.public_id, limit=1)
    assert (page.status, page.data[0].number, page.next) == ("completed", 0, 0)
    assert [item.text for item in client.sentence_page(job.public_id, after=0).data] == ["再见，世界。"]
    found = client.search("世界", limit=1)
    assert found.next is not None
    hits = [*found.data, *client.search("世界", after=found.next).data]
    assert [(hit.transcription_id, hit.number) for hit in hits] == [(job.public_id, 0), (job.public_id, 1)]
    assert [hits[0].text[start:end] for start, end in hits[0].matches] == ["世界"]
    with pytest.raises(ApiError, match="no letter"):
        client.search("。")


def test_audio_is_waited_for(api: Api, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    job = client.submit(b"not audio at all", name="a.bin")
    monkeypatch.setattr(time, "sleep", lambda _: _refuse(api))
    with pytest.raises(ApiError) as raised:
        client.audio(job.id)
    assert raised.value.code == "audio_not_decodable"
    other = client.submit(b"neither", name="b.bin")
    with pytest.raises(ParaqueueError, match="still being converted after 0 s"):
        client.audio(other.id, timeout=0)
    assert client.audio(client.submit(FLAC, name="a.flac").id) == FLAC


def _refuse(api: Api) -> None:
    """As a light worker that cannot convert the recording."""
    execute(api.database, "UPDATE renditions SET status = 'failed', error_message = 'no'")


def test_webhooks_are_managed(client: Client) -> None:
    made = client.create_webhook("https://hooks.example.com/in", events=["transcription.completed"], description="d")
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert [(item.id, item.secret) for item in client.webhooks()] == [(made.id, None)]
    changed = client.update_webhook(made.id, events=["batch.completed"])
    assert (changed.events, changed.description, changed.enabled) == (("batch.completed",), "d", True)
    assert client.rotate_webhook_secret(made.id, overlap_hours=0).secret not in {None, made.secret}
    sent = client.test_webhook(made.id)
    assert (sent.type, sent.webhook_id) == ("webhook.test", made.id)
    assert [item.id for item in client.deliveries(made.id).data] == [sent.id]
    assert [item.id for item in client.deliveries().data] == [sent.id]
    assert client.replay_delivery(sent.id).id == sent.id
    with pytest.raises(ValueError, match="either"):
        client.deliveries(made.id, transcription_id="tr_0")
    client.delete_webhook(made.id)
    assert client.webhooks() == ()


def test_a_retry_is_repeated_with_one_key(api: Api, client: Client) -> None:
    job = client.submit(LINK)
    held = claimed(api.database, jobs.get(api.database, ids.parsed(ids.JOB, job.id)))
    fail(api.database, held)
    again = client.retry(job.id)
    assert (again.status, again.run) == ("queued", 2)
    with pytest.raises(ApiError) as raised:
        client.retry(job.id)
    assert raised.value.code == "wrong_state"


def test_a_client_of_ones_own_is_used_and_stays_open(url: str) -> None:
    seen: list[str] = []
    mine = httpx.Client(event_hooks={"request": [lambda request: seen.append(request.headers["Authorization"])]})
    with mine, Client(url, ADMIN_KEY, http_client=mine) as client:
        client.models()
        client.close()
        assert not mine.is_closed
        client.models()
    assert seen == [f"Bearer {ADMIN_KEY}"] * 2
    for wrong in ({"timeout": 3.0}, {"ca": ssl.create_default_context()}):
        with pytest.raises(ConfigurationError, match="http_client"):
            Client(url, http_client=mine, **wrong)


def test_the_timeout_and_the_retries_are_the_callers(http_server: HttpServer) -> None:
    released = threading.Event()
    calls: list[str] = []

    def silent(handler: BaseHTTPRequestHandler) -> None:
        calls.append(handler.path)
        released.wait(60)

    http_server.routes["/v1/models"] = silent
    with Client(http_server.url(), timeout=0.2, max_retries=0) as client, pytest.raises(ConnectionFailed):
        client.models()
    released.set()
    assert calls == ["/v1/models"]
    with pytest.raises(ConfigurationError, match="negative"):
        Client(http_server.url(), max_retries=-1)


def test_certificates_are_those_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CA certificates"):
        Client("https://localhost:1", ca=tmp_path / "missing.pem")
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    with pytest.raises(ConfigurationError, match="CA certificates"):
        Client("https://localhost:1", ca=wrong)


def test_a_service_that_is_away_is_noticed_at_once(url: str) -> None:
    with Client(url) as client:
        client.reach()
    with Client("http://127.0.0.1:9") as client, pytest.raises(ConnectionFailed, match="does not respond"):
        client.reach()


def test_a_profile_names_the_service(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAQUEUE_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text(f'[profiles.test]\nurl = "{url}"\napi_key = "{ADMIN_KEY}"\n')
    with Client(profile="test") as client:
        assert len(client.models()) == 1


def test_a_status_is_one_of_five(api: Api, client: Client) -> None:
    ended = completed(api.database)
    assert client.get(ended.public_id).status == "completed"
    with pytest.raises(ApiError):
        client.page(status="done")  # type: ignore[arg-type]
