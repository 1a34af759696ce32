"""The audit of dependencies, against a service on loopback that answers as OSV does."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from dev.audit import LOCKS
from dev.stack import REPOSITORY
from tests.servers import HttpServer

ADVISORY = {
    "schema_version": "1.6.0",
    "id": "PYSEC-2099-1",
    "aliases": ["CVE-2099-0001"],
    "summary": "Reads minds",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "mindreader"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.3"}]}],
        }
    ],
}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "some.lock"
    path.write_text("harmless==2.0\n    # via us\nmindreader==1.2\n    # via us\n")
    return path


def audit(url: str, *locks: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "dev.audit", f"--osv-url={url}", *map(str, locks)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert not ended.stderr
    return ended.returncode, ended.stdout


def answering(server: HttpServer, vulnerable: dict[str, Any], status: int = 200) -> list[str]:
    """The service; it records the queried names in the list."""
    names: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        query = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        assert query["package"]["ecosystem"] == "PyPI"
        assert query["version"]
        names.append(query["package"]["name"])
        vulnerability = vulnerable.get(query["package"]["name"])
        body = json.dumps({"vulns": [vulnerability]} if vulnerability else {}).encode()
        handler.send_response(status if len(names) > 1 else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    server.routes["/v1/query"] = answer
    return names


def test_no_known_vulnerability(http_server: HttpServer, lock: Path) -> None:
    names = answering(http_server, {})
    assert audit(http_server.url("/v1/query"), lock) == (0, "dependency audit: 2 packages, 0 findings\n")
    assert set(names[1:]) == {"harmless", "mindreader"}


def test_a_known_vulnerability_fails(http_server: HttpServer, lock: Path) -> None:
    answering(http_server, {"mindreader": ADVISORY})
    code, output = audit(http_server.url("/v1/query"), lock)
    assert code == 1
    assert "mindreader 1.2: PYSEC-2099-1 CVE-2099-0001, fixed in 1.3" in output
    assert "harmless" not in output


def test_every_package_of_the_repository_is_asked_about(http_server: HttpServer) -> None:
    names = answering(http_server, {})
    code, output = audit(http_server.url("/v1/query"))
    assert code == 0, output
    assert {"fastapi", "torch", "celery", "flower", "schemathesis", "funasr"} <= set(names)
    assert len(names) > 150


def test_the_audited_files_hold_all_pins() -> None:
    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[a-z0-9].*?==[^ ;]+", path.read_text("utf-8"), re.MULTILINE))

    audited = set().union(*(pins(REPOSITORY / "requirements" / name) for name in LOCKS))
    for lock in (REPOSITORY / "requirements").glob("*.lock"):
        assert pins(lock) <= audited, lock.name


def test_an_audit_that_breaks_off_fails(http_server: HttpServer, lock: Path) -> None:
    answering(http_server, {}, status=500)
    code, output = audit(http_server.url("/v1/query"), lock)
    assert code == 1
    assert "broke off" in output
    assert "ServiceError" in output


def test_without_a_service_it_says_in_one_line_that_nothing_was_audited(lock: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        code, output = audit(f"http://127.0.0.1:{port}/v1/query", lock)
    assert code == 0
    assert output.startswith("dependency audit: NOT DONE, nothing was audited: 127.0.0.1 cannot be reached")
    assert output.count("\n") == 1


def test_a_service_that_is_silent_holds_nobody_up(lock: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code, output = audit(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/query", lock)
    assert code == 0
    assert "NOT DONE" in output
