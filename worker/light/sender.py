"""Sends one webhook: signs it (Standard Webhooks 1.0), posts it, and evaluates the response.

Redirects are not followed, and non-public addresses are refused by the same guard as for links.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ssl import SSLContext

import httpcore
import httpx
from standardwebhooks import Webhook

from common.errors import ConfigurationError, SourceNotAllowed, SourceUnreachable
from common.links import STANDARD_PORTS, Ports, checked_url
from common.secret_box import SecretBox
from common.settings import Settings
from common.settings.types import revealed
from common.telemetry import tracing
from common.webhooks import ClaimedDelivery, EventType, Report
from worker.net.retry_after import retry_after
from worker.net.ssrf import GuardedBackend

ANSWER_BYTES = 1024
CONNECT_SECONDS = 5.0
GONE = 410


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When to retry: pauses grow fourfold up to a ninth of the total time, until the total time has passed."""

    base_seconds: float
    whole_seconds: float

    GROWTH = 4.0
    LONGEST_SHARE = 9
    # Progress events soon become stale.
    PROGRESS_TRIES = 3

    @property
    def longest_seconds(self) -> float:
        """The upper limit of a pause without jitter, including one that the receiver requests."""
        return self.whole_seconds / self.LONGEST_SHARE

    def pauses(self) -> list[float]:
        """The pauses between attempts, in seconds and without jitter; there is one more attempt than pauses."""
        pauses: list[float] = []
        while True:
            # The exponent is bounded: a float overflows long before a list of pauses ends.
            grown = self.base_seconds * self.GROWTH ** min(len(pauses), 100)
            pauses.append(min(grown, self.longest_seconds))
            if sum(pauses) > self.whole_seconds:
                return pauses[:-1]

    def pause(self, event: str, failures: int, *, retry_after: float | None, jitter: float) -> float | None:
        """Seconds until the next attempt, or None to give up. Pure.

        `failures` includes the current one; `jitter` from 0 to 1 shifts the pause down or up by a quarter;
        `retry_after`, the seconds that the receiver requested, can only lengthen it.
        """
        pauses = self.pauses()
        if event == EventType.PROGRESS:
            pauses = pauses[: self.PROGRESS_TRIES - 1]
        if failures > len(pauses):
            return None
        shifted = pauses[failures - 1] * (0.75 + 0.5 * jitter)
        return max(shifted, min(retry_after or 0.0, self.longest_seconds))


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of an attempt; `retry_after` in seconds, if the receiver sent it; `final`: a retry would fail too."""

    report: Report
    retry_after: float | None = None
    final: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the receiver accepted the event."""
        return self.report.error is None

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no further events."""
        return self.report.status == GONE


class TimeIsUp(Exception):
    """The receiver took too long."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Posts deliveries; one instance serves all threads."""

    seal: SecretBox | None
    own_secrets: tuple[str, ...]
    public_url: str | None
    allowed_private: tuple[str, ...]
    timeout_seconds: float
    # Reading the certificate authorities takes 20 ms of CPU, so it is done once.
    tls: SSLContext
    ports: Ports = STANDARD_PORTS

    @classmethod
    def of(cls, settings: Settings) -> Sender:
        """A sender with the secrets and limits of the settings."""
        return cls(
            seal=SecretBox(revealed(settings.secret_key)) if settings.secret_key else None,
            own_secrets=revealed(settings.webhook_secret),
            public_url=settings.public_url.rstrip("/") if settings.public_url else None,
            allowed_private=settings.fetch_allowed_private,
            timeout_seconds=settings.webhook_timeout_seconds,
            tls=httpx.create_ssl_context(),
            ports=settings.fetch_ports,
        )

    def send(self, parcel: ClaimedDelivery) -> SendResult:
        """Make one attempt. Never raises for errors of the receiver or the network."""
        try:
            secrets = self._secrets(parcel)
        except ConfigurationError as error:
            return SendResult(Report(None, None, error.code))
        body = body_of(parcel, self.public_url)
        headers = signed_headers(parcel.public_id, body, secrets, datetime.now(UTC))
        if here := tracing.current():
            headers["traceparent"] = here  # so that the receiver can continue our trace
        try:
            return self._post(parcel.url, headers, body.encode())
        except (TimeIsUp, httpcore.TimeoutException):
            return SendResult(Report(None, None, "timeout"))
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return SendResult(Report(None, None, f"connection: {type(error).__name__}"))
        except (httpx.InvalidURL, httpcore.UnsupportedProtocol, UnicodeError):
            return SendResult(Report(None, None, "invalid_url"), final=True)
        except SourceNotAllowed:
            return SendResult(Report(None, None, "address_not_allowed"), final=True)
        except SourceUnreachable:
            return SendResult(Report(None, None, "host_not_found"))

    def _secrets(self, parcel: ClaimedDelivery) -> Sequence[str]:
        if not parcel.sealed_secrets:
            if not self.own_secrets:
                raise ConfigurationError("PARAQUEUE_WEBHOOK_SECRET is not set")
            return self.own_secrets
        if self.seal is None:
            raise ConfigurationError("PARAQUEUE_SECRET_KEY is not set")
        return [self.seal.open(sealed) for sealed in parcel.sealed_secrets]

    def _post(self, address: str, headers: dict[str, str], body: bytes) -> SendResult:
        url = checked_url(httpx.URL(address))
        deadline = time.monotonic() + self.timeout_seconds

        def check() -> None:
            if time.monotonic() > deadline:
                raise TimeIsUp

        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        whole = {**headers, "Host": url.netloc.decode("ascii"), "Content-Length": str(len(body))}
        patience = self.timeout_seconds
        timeouts = {"connect": min(CONNECT_SECONDS, patience), "read": patience, "write": patience, "pool": patience}
        request = httpcore.Request(
            "POST", target, headers=list(whole.items()), content=body, extensions={"timeout": timeouts}
        )
        backend = GuardedBackend(self.allowed_private, check, self.ports)
        with httpcore.ConnectionPool(ssl_context=self.tls, network_backend=backend) as pool:
            response = pool.handle_request(request)
            try:
                return judged(response, _first_bytes(response))
            finally:
                response.close()


def body_of(parcel: ClaimedDelivery, public_url: str | None) -> str:
    """The message body, identical for every attempt. Links are absolute if the installation knows its own address."""
    data = dict(parcel.data)
    if "links" in data and public_url is not None:
        data["links"] = {name: public_url + path for name, path in data["links"].items()}
    message = {"type": parcel.event, "timestamp": parcel.created_at.astimezone(UTC).isoformat(), "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def signed_headers(message_id: str, body: str, secrets: Sequence[str], now: datetime) -> dict[str, str]:
    """The headers of a message, with a signature for each secret."""
    return {
        "Content-Type": "application/json",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "paraqueue",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }


def judged(response: httpcore.Response, answer: bytes) -> SendResult:
    """Evaluate a response: 2xx is success, everything else, including 3xx, is a failure."""
    text = answer.decode("utf-8", "replace").replace("\x00", "\ufffd")
    succeeded = 200 <= response.status < 300
    error = None if succeeded else "redirect" if 300 <= response.status < 400 else "http_status"
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    retry_after_seconds = retry_after(headers.get(b"retry-after"), datetime.now(UTC))
    return SendResult(Report(response.status, text, error), retry_after_seconds)


def _first_bytes(response: httpcore.Response) -> bytes:
    """The first bytes of the response; only the status line matters, so a truncated or slow body does no harm."""
    gathered = bytearray()
    try:
        for chunk in response.iter_stream():
            gathered += chunk
            if len(gathered) >= ANSWER_BYTES:
                break
    except (TimeIsUp, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    return bytes(gathered[:ANSWER_BYTES])
