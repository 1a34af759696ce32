"""Secrets of settings, links and clients, on a whole stack: not in logs, errors, messages, Flower or process lists."""

from __future__ import annotations

import base64
import secrets
import time
from pathlib import Path
from typing import get_args

import httpx
import pytest
import redis
from pydantic import SecretStr

from common.settings import Settings
from dev.postgres import Postgres
from dev.process import free_port, wait_until
from tests.e2e.service import Service, fresh_service

MARK = "CANARY"


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
    said = []
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
            said.append(answer.text + str(answer.headers))
        job_id = (
            client.post("/v1/transcriptions", headers=key, json={"audio_url": link}).raise_for_status().json()["id"]
        )
        job: dict[str, str] = {"status": ""}
        deadline = time.monotonic() + 120
        while job["status"] not in {"failed", "completed"} and time.monotonic() < deadline:
            answer = client.get(f"/v1/transcriptions/{job_id}", headers=key, params={"wait": 5})
            job = answer.json()
            said.append(answer.text)
        assert job["status"] == "failed", job
        said.append(client.get(f"/v1/transcriptions/{job_id}/events", headers=key).text)
    return said


def in_redis(service: Service) -> bytes:
    """Every key and value of Celery's, as they lie in Valkey."""
    found = b""
    with redis.Redis.from_url(service.valkey.url()) as client:
        for key in client.scan_iter():
            readers = {b"string": client.get, b"list": lambda k: client.lrange(k, 0, -1), b"hash": client.hgetall}
            readers |= {b"set": client.smembers, b"zset": lambda k: client.zrange(k, 0, -1)}
            found += key + repr(readers[client.type(key)](key)).encode()
    return found


def command_lines() -> str:
    """What every user of the machine can read of every process."""
    texts = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return "\n".join(texts)


def test_secrets_are_seen_nowhere(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_with_secrets()
    assert {"admin_key", "jwt_secret", "secret_key", "webhook_secret", "oss_access_key_secret"} <= set(given)
    monkeypatch.setenv("FLOWER_BASIC_AUTH", f"flower:{(flower_password := canary())}")
    spoken = [f"pq_live_{canary()}", canary(), canary()]
    link = f"http://127.0.0.1:1/meeting.mp3?signature={spoken[2]}"
    changes = {"max_attempts": 1, "fetch_resumes": 0, "log_level": "debug"}
    changes |= {"jwt_issuer": "https://id.example.com", "jwt_audience": "paraqueue"}
    with fresh_service(postgres, tmp_path, **changes, **given) as service:
        port = free_port()
        flower = service.start(
            "flower", "celery", "-A", "common.queue", "flower", "--address=127.0.0.1", f"--port={port}"
        )
        tasks = httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("flower", flower_password), trust_env=False)
        wait_until(lambda: _answers(tasks), [flower], 90, "Flower did not answer")
        service.lose_all_messages()
        said = bodies(service, given, link, spoken)
        never = told_apart(service, given, [*spoken, flower_password])
        places = {f"answer {number}": text for number, text in enumerate(said)}
        places |= {path.name: path.read_text() for path in (tmp_path / "logs").glob("*.log")}
        places["Valkey"] = in_redis(service).decode("utf-8", "replace")
        places["Flower"] = tasks.get("/api/tasks").raise_for_status().text + tasks.get("/tasks").text
        places["process list"] = command_lines()
        tasks.close()
    assert {"api.log", "worker.log", "light.log", "beat.log", "flower.log"} <= set(places)
    assert "request" in places["api.log"] and "api.main" in places["process list"] and places["Flower"]
    seen = [(place, value[:12]) for place, text in places.items() for value in never if value in text]
    assert not seen


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/workers", timeout=10).status_code == 200
    except httpx.TransportError:
        return False
