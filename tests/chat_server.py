"""A real server that speaks OpenAI's chat completions, and misbehaves where a test asks for it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx

from tests.servers import HttpServer, running_http_server
from worker.light.chat import ChatEndpoint

PATH = "/v1/chat/completions"
MODEL = "test-chat"
API_KEY = "sk-of-the-operator"
Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


@dataclass(frozen=True)
class Asked:
    """A request that the server got."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return str(self.body["messages"][0]["content"])

    @property
    def user(self) -> str:
        return str(self.body["messages"][1]["content"])


@dataclass
class ChatServer:
    """Answers with the next of `answers`; once they are used up, with a summary that counts the calls."""

    server: HttpServer
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base_url(self) -> str:
        return self.server.url("/v1")

    def endpoint(self, **changes: Any) -> ChatEndpoint:
        """The endpoint as the settings of an operator make it."""
        values: dict[str, Any] = {
            "url": httpx.URL(f"{self.base_url}/chat/completions"),
            "model": MODEL,
            "api_key": API_KEY,
            "allowed_private": ("127.0.0.1",),
            "timeout_seconds": 30.0,
            "context_tokens": 16_000,
            "max_tokens": 2000,
            "tls": httpx.create_ssl_context(),
        }
        return ChatEndpoint(**values | changes)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.asked.append(Asked(headers, body))
            number = len(self.asked)
            chosen = self.answers.pop(0) if self.answers else writes(f"summary {number}")
        chosen(handler, body)

    def hang(self, handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        """Never answer, until the test ends."""
        self.let_go.wait(120)
        handler.close_connection = True


def completion(content: Any, *, finish: str = "stop", **more: Any) -> dict[str, Any]:
    """A chat completion that took 100 tokens to read and 10 to write."""
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage} | more


def writes(content: Any, **more: Any) -> Answer:
    """Answer with a completion."""
    return sends(200, json.dumps(completion(content, **more)).encode())


def sends(status: int, content: bytes = b"", **headers: str) -> Answer:
    """Answer with a status and a body."""

    def answer(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


@contextmanager
def deaf_server() -> Iterator[int]:
    """The port of a server that accepts connections and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def running_chat_server(directory: Path) -> Iterator[ChatServer]:
    """The server, for one test or several."""
    with running_http_server(directory) as server:
        chat = ChatServer(server)
        server.routes[PATH] = chat.answer
        try:
            yield chat
        finally:
            chat.let_go.set()
