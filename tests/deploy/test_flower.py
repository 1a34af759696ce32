"""Flower's password, on the real process with a Valkey of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from common.flower import accepts
from dev.process import free_port, spawn, wait_until
from dev.stack import REPOSITORY
from dev.valkey import Valkey

LOGIN = ("ops", "password:with colon")
START_SECONDS = 120
COMMAND = [sys.executable, "-m", "celery", "-A", "common.flower", "flower", "--address=127.0.0.1"]


def environment(valkey: Valkey, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWER_", "PARAQUEUE_"))}
    return inherited | {"PARAQUEUE_REDIS_URL": valkey.url()} | more


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthcheck", trust_env=False, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def test_everything_but_the_health_check_asks_for_the_password(valkey: Valkey, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = environment(valkey, FLOWER_BASIC_AUTH=":".join(LOGIN))
    child = spawn("Flower", [*COMMAND, f"--port={port}"], tmp_path / "flower.log", env=env, cwd=REPOSITORY)
    try:
        wait_until(lambda: answers(url), [child], START_SECONDS, "Flower did not answer")
        known = httpx.Client(
            base_url=url, headers={"Authorization": basic(":".join(LOGIN))}, trust_env=False, timeout=30
        )
        stranger = httpx.Client(base_url=url, trust_env=False, timeout=30)
        with known, stranger:
            for path in ("/metrics", "/static/css/flower.css", "/tasks", "/api/tasks"):
                assert known.get(path).status_code == 200, path
            assert "flower_" in known.get("/metrics").text
            for path in (
                "/metrics",
                "/metrics?",
                "//metrics",
                "/static/css/flower.css",
                "/favicon.ico",
                "/",
                "/nowhere",
                "/login",
            ):
                refused = stranger.get(path)
                assert (refused.status_code, refused.text) == (401, "Access denied"), path
                assert refused.headers["WWW-Authenticate"].startswith("Basic ")
                assert stranger.request("OPTIONS", path).status_code == 401, path
                assert stranger.get(path, headers={"Authorization": basic("ops:wrong")}).status_code == 401, path
            assert stranger.get("/healthcheck").text == "OK"
    finally:
        child.stop(seconds=10)


def test_it_does_not_start_without_a_password(valkey: Valkey) -> None:
    ended = subprocess.run(
        [*COMMAND, f"--port={free_port()}"],
        env=environment(valkey),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "paraqueue: Flower needs a password: set FLOWER_BASIC_AUTH to user:password"
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (basic("a:b"), True),
        (basic("c:ü"), True),
        ("basic" + basic("a:b")[5:], True),
        (basic("a:c"), False),
        (basic(""), False),
        ("", False),
        ("Basic", False),
        ("Basic %%%", False),
        ("Basic é", False),
        ("Bearer " + basic("a:b")[6:], False),
    ],
)
def test_credentials(header: str, accepted: bool) -> None:
    assert accepts(["a:b", "c:ü"], header) is accepted
    assert not accepts([], header)
