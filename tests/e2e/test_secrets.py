"""Secrets of settings, links and clients, on a whole stack: not in logs, errors, messages, tables, Flower or process
lists; nor are the tokens, cookies and keys that were handed out."""

from __future__ import annotations

import base64
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import httpx
import jwt
import psycopg
import pytest
import redis
from psycopg import sql
from pydantic import SecretStr

from common.settings import Settings
from dev.postgres import Postgres
from dev.process import free_port, wait_until
from tests.e2e.service import Service, fresh_service

MARK = "CANARY"
ISSUER, AUDIENCE = "https://id.example.com", "paraqueue"


def canary(number: int = 32) -> str:
    return MARK + secrets.token_hex(number)


def settings_with_secrets() -> dict[str, SecretStr]:
    """A recognisable value for every secret setting, besides those of the two servers, which have random passwords."""
    encoded = base64.b64encode(canary(13).encode()).decode()
    shaped = {
        "admin_key": f"pq_live_{canary()}",
        "jwt_secret": canary(),
        "secret_key": base64.b64encode(canary(13).encode()).decode(),
        "webhook_secret": f"whsec_{encoded}",
    }
    names = [
        name
        for name, field in Settings.model_fields.items()
        if SecretStr in (field.annotation, *get_args(field.annotation))
    ]
    return {name: SecretStr(shaped.get(name, canary())) for name in names if not name.endswith("_url")}


def told_apart(service: Service, given: dict[str, SecretStr], spoken: list[str]) -> set[str]:
    """Everything that must not be seen anywhere."""
    values = {value.get_secret_value() for value in given.values()}
    values |= {value.removeprefix("whsec_").removeprefix("pq_live_") for value in values}
    values |= {service.valkey.password, httpx.URL(service.settings.database_url.get_secret_value()).password}
    return {value for value in values | set(spoken) if value}


def bodies(service: Service, given: dict[str, SecretStr], link: str, spoken: list[str]) -> list[str]:
    """What the API answers to calls that hold secrets, most of which fail."""
    key = {"Authorization": f"Bearer {given['admin_key'].get_secret_value()}"}
    wrong = {"Authorization": f"Bearer {spoken[0]}"}
    bodies = []
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        calls = [
            ("GET", "/v1/transcriptions", wrong, None),
            ("GET", "/v1/transcriptions", {"X-API-Key": spoken[0]}, None),
            ("POST", "/v1/transcriptions", key, {"audio_url": f"https://user:{spoken[1]}@example.com/a.mp3"}),
            ("POST", "/v1/transcriptions", key, {"audio_url": link, "priority": "high"}),
            ("POST", "/v1/transcriptions", key, {"audio_url": link, "webhook_url": f"http://10.0.0.1/?{spoken[2]}"}),
            ("POST", "/v1/webhooks", key, {"url": f"https://user:{spoken[1]}@example.com/hook"}),
            ("GET", "/v1/transcriptions/tr_0?token=" + spoken[2], key, None),
            ("GET", "/health/ready", {}, None),
        ]
        for method, path, headers, body in calls:
            answer = client.request(method, path, headers=headers, json=body)
            bodies.append(answer.text + str(answer.headers))
        job_id = (
            client.post("/v1/transcriptions", headers=key, json={"audio_url": link}).raise_for_status().json()["id"]
        )
        job: dict[str, str] = {"status": ""}
        deadline = time.monotonic() + 120
        while job["status"] not in {"failed", "completed"} and time.monotonic() < deadline:
            answer = client.get(f"/v1/transcriptions/{job_id}", headers=key, params={"wait": 5})
            job = answer.json()
            bodies.append(answer.text)
        assert job["status"] == "failed", job
        bodies.append(client.get(f"/v1/transcriptions/{job_id}/events", headers=key).text)
    return bodies


def with_credentials(service: Service, given: dict[str, SecretStr]) -> tuple[list[str], list[str]]:
    """Calls with a valid token, a session, a new key and a new endpoint: those, and what the API answers besides."""
    admin = {"X-API-Key": given["admin_key"].get_secret_value()}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "exp": time.time() + 3600, "tenant": "acme"}
    token = jwt.encode({**claims, "scope": "read submit"}, given["jwt_secret"].get_secret_value(), algorithm="HS256")
    hook = {"url": "https://hooks.example.com/in"}
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        key = client.post("/v1/keys", headers=admin, json={"name": "new"}).raise_for_status().json()["key"]
        signing = client.post("/v1/webhooks", headers=admin, json=hook).raise_for_status().json()["secret"]
        csrf = client.post("/v1/session", headers=admin).raise_for_status().json()["csrf_token"]
        cookie = client.cookies["paraqueue_session"]
        session = {"Cookie": f"paraqueue_session={cookie}"}
        client.cookies.clear()
        bearer = {"Authorization": f"Bearer {token}"}
        job = {"audio_url": "https://127.0.0.1:1/a.mp3"}
        calls = [
            (200, "GET", "/v1/transcriptions", bearer, None),
            (202, "POST", "/v1/transcriptions", bearer, job),
            (403, "GET", "/v1/keys", bearer, None),
            (401, "GET", "/v1/models", {"Authorization": f"Bearer {token}x"}, None),
            (401, "GET", "/v1/models", {"X-API-Key": cookie}, None),
            (200, "GET", "/v1/transcriptions", session, None),
            (202, "POST", "/v1/transcriptions", {**session, "X-CSRF-Token": csrf}, job),
            (403, "POST", "/v1/transcriptions", {**session, "X-CSRF-Token": token}, job),
            (401, "GET", "/v1/models", {"Cookie": f"paraqueue_session=x{cookie}"}, None),
            (200, "GET", "/v1/models", {"X-API-Key": key}, None),
            (200, "GET", "/v1/webhooks", admin, None),
            (200, "GET", "/v1/keys", admin, None),
        ]
        responses = []
        for status, method, path, headers, body in calls:
            answer = client.request(method, path, headers=headers, json=body)
            assert answer.status_code == status, (path, answer.text)
            responses.append(answer.text + str(answer.headers))
    return [token, token.rpartition(".")[2], cookie, csrf, key, signing, signing.removeprefix("whsec_")], responses


def in_database(service: Service) -> dict[str, str]:
    """Every row of every table."""
    with psycopg.connect(service.settings.database_url.get_secret_value()) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {
            name: repr(connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))).fetchall())
            for (name,) in names
        }


def in_redis(service: Service) -> bytes:
    """Every key and value of Celery in Valkey."""
    content = b""
    with redis.Redis.from_url(service.valkey.url()) as client:
        for key in client.scan_iter():
            readers = {b"string": client.get, b"list": lambda k: client.lrange(k, 0, -1), b"hash": client.hgetall}
            readers |= {b"set": client.smembers, b"zset": lambda k: client.zrange(k, 0, -1)}
            kind = client.type(key)
            if kind != b"none":  # it expired in that moment
                content += key + repr(readers[kind](key)).encode()
    return content


def command_lines() -> str:
    """What every user of the machine can read of every process."""
    texts = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return "\n".join(texts)


@dataclass(frozen=True)
class Scene:
    """A running stack, and the places where its data could be read."""

    service: Service
    tasks: httpx.Client
    logs: Path
    responses: list[str]

    def places(self) -> dict[str, str]:
        """Every place with its content."""
        texts = {f"answer {number}": text for number, text in enumerate(self.responses)}
        texts |= {path.name: path.read_text() for path in self.logs.glob("*.log")}
        texts["Valkey"] = in_redis(self.service).decode("utf-8", "replace")
        texts["Flower"] = self.tasks.get("/api/tasks").raise_for_status().text + self.tasks.get("/tasks").text
        texts["process list"] = command_lines()
        return texts | {f"table {name}": text for name, text in in_database(self.service).items()}


def seen_in(places: dict[str, str], never: set[str], *, kept: set[str]) -> set[str]:
    """Where one of the secrets appears.

    `kept` secrets may be in a table: without a link's signature no worker could fetch it.
    """
    return {
        place
        for place, text in places.items()
        for value in (never - kept if place.startswith("table ") else never)
        if value in text
    }


def planted(scene: Scene, secret: str) -> Iterator[str]:
    """Deliberate leaks of a secret, one after the other; yields the place."""
    scene.responses.append(f'{{"detail": "the key {secret} is wrong"}}')
    yield f"answer {len(scene.responses) - 1}"
    with (scene.logs / "worker.log").open("a") as log:
        log.write(f'{{"event": "request", "key": "{secret}"}}\n')
    yield "worker.log"
    with redis.Redis.from_url(scene.service.valkey.url()) as client:
        client.rpush("planted", secret)
    yield "Valkey"
    with psycopg.connect(scene.service.settings.database_url.get_secret_value()) as connection:
        connection.execute("INSERT INTO tenants (name) VALUES (%s)", [secret])
    yield "table tenants"
    with subprocess.Popen([sys.executable, "-c", "input()", secret], stdin=subprocess.PIPE) as process:
        yield "process list"
        process.communicate(b"\n")


def test_secrets_are_seen_nowhere(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_with_secrets()
    assert {"admin_key", "jwt_secret", "secret_key", "webhook_secret", "oss_access_key_secret"} <= set(given)
    monkeypatch.setenv("FLOWER_BASIC_AUTH", f"flower:{(flower_password := canary())}")
    spoken = [f"pq_live_{canary()}", canary(), canary()]
    link = f"http://127.0.0.1:1/meeting.mp3?signature={spoken[2]}"
    changes = {"max_attempts": 1, "fetch_resumes": 0, "log_level": "debug"}
    changes |= {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    with fresh_service(postgres, tmp_path, **changes, **given) as service:
        port = free_port()
        flower = service.start(
            "flower", "celery", "-A", "common.flower", "flower", "--address=127.0.0.1", f"--port={port}"
        )
        tasks = httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("flower", flower_password), trust_env=False)
        wait_until(lambda: _answers(tasks), [flower], 90, "Flower did not answer")
        service.lose_all_messages()
        shown_once, responses = with_credentials(service, given)
        responses += bodies(service, given, link, spoken)
        never = told_apart(service, given, [*spoken, *shown_once, flower_password])
        scene = Scene(service, tasks, tmp_path / "logs", responses)
        places = scene.places()
        assert {"api.log", "worker.log", "light.log", "beat.log", "flower.log", "table jobs"} <= set(places)
        assert "request" in places["api.log"]
        assert "api.main" in places["process list"]
        assert places["Flower"]
        assert link in places["table jobs"], "the tables are really read"
        assert seen_in(places, never, kept={spoken[2]}) == set()
        # And now with leaks of our own, so that the search is known to find what is there.
        for number, place in enumerate(planted(scene, secret := next(iter(never - {spoken[2]}))), start=1):
            seen_places = seen_in(scene.places(), {secret}, kept=set())
            assert place in seen_places
            assert len(seen_places) == number
        tasks.close()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/workers", timeout=10).status_code == 200
    except httpx.TransportError:
        return False
