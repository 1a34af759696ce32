"""A hub on loopback that answers like ModelScope and Hugging Face, with faults on demand, and writes down requests."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Faults:
    """Faults by file name."""

    broken_after: dict[str, int] = field(default_factory=dict)
    """The connection ends after so many bytes, once."""
    wrong: set[str] = field(default_factory=set)
    """Another content than the hub's list says, each time."""
    missing: set[str] = field(default_factory=set)
    """In the list, but 404."""
    down: bool = False
    """503 for everything."""
    slow_seconds: float = 0.0
    """A pause between blocks of a quarter of the file."""


@dataclass
class Request:
    """A received request for a file: the first requested byte and the client's port."""

    hub: str
    repository: str
    name: str
    begun: int


class FakeHub:
    """Repositories by name, each a folder; every one is published by both hubs."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.repositories = repositories
        self.faults = Faults()
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.url = ""

    def requests_for(self, name: str) -> list[Request]:
        """The requests for a file, of whatever repository."""
        with self.lock:
            return [request for request in self.requests if request.name == name]


@contextmanager
def fake_hub(repositories: dict[str, Path]) -> Iterator[FakeHub]:
    """Serve until the block ends."""
    hub = FakeHub(repositories)

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: FakeHub

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = unquote(url.path).strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.served.faults.down:
            self.send_error(503)
        elif parts[:3] == ["api", "v1", "models"] and parts[-1] == "files":
            self._json({"Code": 200, "Data": {"Files": self._modelscope("/".join(parts[3:5]))}})
        elif parts[:3] == ["api", "v1", "models"]:
            self._file("modelscope", "/".join(parts[3:5]), query["FilePath"])
        elif parts[:2] == ["api", "models"]:
            self._json({"sha": COMMIT, "siblings": self._huggingface("/".join(parts[2:4]))})
        else:
            assert parts[2:4] == ["resolve", COMMIT], parts
            self._file("huggingface", "/".join(parts[:2]), "/".join(parts[4:]))

    def log_message(self, *_: Any) -> None:
        """Requests are in the hub's list."""

    def _files(self, repository: str) -> list[Path]:
        return sorted(path for path in self.served.repositories[repository].iterdir() if path.is_file())

    def _modelscope(self, repository: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = [{"Path": "example", "Type": "tree"}]
        for path in self._files(repository):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            listed.append({"Path": path.name, "Type": "blob", "Size": path.stat().st_size, "Sha256": digest})
        return listed

    def _huggingface(self, repository: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = []
        for path in self._files(repository):
            content = path.read_bytes()
            entry: dict[str, Any] = {"rfilename": path.name, "size": len(content)}
            if path.suffix == ".pt":
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            else:
                entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            listed.append(entry)
        return listed

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, hub: str, repository: str, name: str) -> None:
        faults = self.served.faults
        begun = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        with self.served.lock:
            self.served.requests.append(Request(hub, repository, name, begun))
            stop = faults.broken_after.pop(name, None)
        if name in faults.missing:
            self.send_error(404)
            return
        content = (self.served.repositories[repository] / name).read_bytes()
        if name in faults.wrong:
            content = bytes([content[0] ^ 1]) + content[1:]
        self.send_response(206 if begun else 200)
        self.send_header("Content-Length", str(len(content) - begun))
        if begun:
            self.send_header("Content-Range", f"bytes {begun}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self._send(content[begun:] if stop is None else content[begun : begun + stop], faults.slow_seconds)

    def _send(self, content: bytes, pause: float) -> None:
        size = max(len(content) // 4, 1) if pause else len(content) or 1
        try:
            for start in range(0, len(content), size):
                self.wfile.write(content[start : start + size])
                self.wfile.flush()
                time.sleep(pause)
        except OSError:
            pass  # the client was killed: that is what some tests do
        self.close_connection = True
