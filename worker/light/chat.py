"""Calls the operator's chat endpoint (OpenAI's `/chat/completions`), and believes nothing of its responses.

Redirects are not followed, and connections are made to checked addresses only, as for links and webhooks.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from common.errors import SourceNotAllowed, SourceUnreachable, SummaryInvalid, SummaryRejected, SummaryUnavailable
from common.settings import SummarySettings
from common.summaries import Tokens
from common.summaries.sections import tokens_of
from worker.net.retry_after import retry_after
from worker.net.ssrf import GuardedBackend

ANSWER_BYTES = 1024 * 1024
LONGEST_TEXT = 100_000
MOST_TOKENS = 10**9
CONNECT_SECONDS = 10.0
# For each piece of a request: while one is sent, nobody looks whether the call is still wanted.
WRITE_SECONDS = 20.0
PIECE_BYTES = 64 * 1024
PORTS = {"http": 80, "https": 443}
TRANSIENT = {408, 425, 429}
ERROR_NAME = re.compile(r"[A-Za-z0-9_.-]{1,60}")
# Reasoning models without a parser on their server put their thoughts before the answer. The mark that begins them is
# often part of the prompt.
THOUGHTS = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)|\A(?:(?!<think>).)*?</think>", re.DOTALL)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class TimeIsUp(Exception):
    """The endpoint took too long."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, perhaps nothing.

    `truncated`: it was cut off at its limit of tokens, or by a filter; `refused`: it, or a filter, would not answer.
    """

    text: str
    truncated: bool
    tokens: Tokens
    refused: bool = False


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """The endpoint; one instance serves all threads."""

    url: httpx.URL
    model: str
    api_key: str | None
    allowed_private: tuple[str, ...]
    timeout_seconds: float
    context_tokens: int
    max_tokens: int
    tls: SSLContext

    @classmethod
    def of(cls, settings: SummarySettings) -> ChatEndpoint:
        """The endpoint of the settings, which have one."""
        assert settings.summary_url is not None
        assert settings.summary_model is not None
        key = settings.summary_api_key
        return cls(
            url=httpx.URL(f"{settings.summary_url}/chat/completions"),
            model=settings.summary_model,
            api_key=key.get_secret_value() if key is not None else None,
            allowed_private=settings.summary_allowed_private,
            timeout_seconds=settings.summary_timeout_seconds,
            context_tokens=settings.summary_context_tokens,
            max_tokens=settings.summary_max_tokens,
            tls=httpx.create_ssl_context(),
        )

    def ask(self, system: str, user: str, check: Callable[[], None]) -> Reply:
        """Make one call. `check` is called while it waits, and may raise to stop.

        Raises SummaryUnavailable, SummaryInvalid, SummaryRejected.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body = {"model": self.model, "messages": messages, "stream": False}
        status, content, headers = self._answer(body | {"max_tokens": self.max_tokens}, check)
        if status == 400 and _error(content).get("param") == "max_tokens":  # newer models of OpenAI
            status, content, headers = self._answer(body | {"max_completion_tokens": self.max_tokens}, check)
        _check_status(status, content, headers)
        return reply_of(content, asked=tokens_of(system) + tokens_of(user))

    def _answer(self, body: dict[str, Any], check: Callable[[], None]) -> tuple[int, bytes, dict[bytes, str]]:
        """Return the status, the content and the headers of a response, whatever it says."""
        try:
            response, content = self._post(json.dumps(body, ensure_ascii=False).encode(), check)
        except (TimeIsUp, httpcore.TimeoutException):
            raise SummaryUnavailable("the chat endpoint did not respond in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise SummaryUnavailable(f"the connection failed: {type(error).__name__}") from error
        except SourceUnreachable as error:
            raise SummaryUnavailable("the host of the chat endpoint cannot be resolved") from error
        except SourceNotAllowed:
            raise SummaryRejected("the address is private and not in PARAQUEUE_SUMMARY_ALLOWED_PRIVATE") from None
        headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        return response.status, content, headers

    def _post(self, body: bytes, check: Callable[[], None]) -> tuple[httpcore.Response, bytes]:
        deadline = time.monotonic() + self.timeout_seconds

        def still() -> None:
            if time.monotonic() > deadline:
                raise TimeIsUp
            check()

        port = self.url.port or PORTS[self.url.scheme]
        target = httpcore.URL(scheme=self.url.raw_scheme, host=self.url.raw_host, port=port, target=self.url.raw_path)
        patience = self.timeout_seconds
        timeouts = {"connect": min(CONNECT_SECONDS, patience), "read": patience, "write": min(WRITE_SECONDS, patience)}

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(body), PIECE_BYTES):
                still()
                yield body[start : start + PIECE_BYTES]

        request = httpcore.Request(
            "POST", target, headers=self._headers(len(body)), content=pieces(), extensions={"timeout": timeouts}
        )
        backend = GuardedBackend(self.allowed_private, still, (range(port, port + 1),))
        with httpcore.ConnectionPool(ssl_context=self.tls, network_backend=backend) as pool:
            response = pool.handle_request(request)
            try:
                return response, _bounded(response)
            finally:
                response.close()

    def _headers(self, length: int) -> list[tuple[str, str]]:
        headers = {
            "Host": self.url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "Content-Length": str(length),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "paraqueue",
        }
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return list(headers.items())


def reply_of(content: bytes, *, asked: int) -> Reply:
    """Parse a chat completion; tokens that it does not count are estimated. Raises SummaryInvalid."""
    try:
        answer = json.loads(content)
        choice = answer["choices"][0]
        message = choice["message"]
        written = _text_of(message.get("content"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise SummaryInvalid("the response is not a chat completion") from None
    text = CONTROLS.sub("", THOUGHTS.sub("", written.replace("\r\n", "\n"), count=1)).strip()
    counted = answer.get("usage")
    counts = counted if isinstance(counted, dict) else {}
    tokens = Tokens(
        _count(counts.get("prompt_tokens"), asked), _count(counts.get("completion_tokens"), tokens_of(written))
    )
    filtered = choice.get("finish_reason") == "content_filter"
    cut_off = filtered or choice.get("finish_reason") == "length" or len(text) > LONGEST_TEXT
    refused = not text and (filtered or bool(message.get("refusal")))
    return Reply(text[:LONGEST_TEXT], cut_off, tokens, refused)


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError("content is neither text nor a list of parts")
    return content or ""


def _count(value: Any, otherwise: int) -> int:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if known else otherwise


def _check_status(status: int, content: bytes, headers: dict[bytes, str]) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise SummaryRejected("the chat endpoint redirects, which is not followed")
    message = f"the chat endpoint answered {status}{_error_name(content)}"
    if status in TRANSIENT or status >= 500:
        raise SummaryUnavailable(message, retry_after(headers.get(b"retry-after"), datetime.now(UTC)))
    raise SummaryRejected(message)


def _error_name(content: bytes) -> str:
    """Return the name that the endpoint gives its error. Not its message, which may repeat a key or the transcript."""
    error = _error(content)
    name = error.get("code") or error.get("type")
    return f" ({name})" if isinstance(name, str) and ERROR_NAME.fullmatch(name) else ""


def _error(content: bytes) -> dict[str, Any]:
    """Return what a response that is no completion says of its error; nothing if it says nothing of the kind."""
    try:
        error = json.loads(content)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {}


def _bounded(response: httpcore.Response) -> bytes:
    gathered = bytearray()
    for chunk in response.iter_stream():
        gathered += chunk
        if len(gathered) > ANSWER_BYTES:
            raise SummaryInvalid(f"the response is larger than {ANSWER_BYTES} bytes")
    return bytes(gathered)
