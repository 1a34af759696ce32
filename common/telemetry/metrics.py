"""Prometheus metrics: those common to all processes, and how they are exposed.

A metric counted where it happens is a module constant in the library's registry. A value read from an object on demand
(a pool, an engine) is a collector of that process. Labels have few values: never an id, a tenant, a key, or anything
that a client can choose.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import REGISTRY, Counter, Gauge, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from common.errors import all_errors
from common.job_states import Status
from common.settings import MetricsSettings

# These would be a second series per counter with its creation time, which nobody uses.
disable_created_metrics()  # type: ignore[no-untyped-call]

JOBS_SUBMITTED = Counter("paraqueue_jobs_submitted_total", "Jobs that were accepted.", ["model", "source"])
RUNS_ENDED = Counter(
    "paraqueue_runs_ended_total",
    "Runs that ended; `error_code` of failures.",
    ["model", "status", "error_code"],
)
AUDIO_TRANSCRIBED = Counter("paraqueue_audio_transcribed_seconds_total", "Audio of completed runs.", ["model"])
PROCESSING = Counter("paraqueue_processing_seconds_total", "Transcription time of completed runs.", ["model"])
MESSAGES = Counter(
    "paraqueue_messages_total",
    "Celery messages: `sent`, or `failed` if Redis did not accept them.",
    ["task", "outcome"],
)
POOL_IN_USE = Gauge("paraqueue_database_pool_in_use", "Database connections in use.")
POOL_SIZE = Gauge("paraqueue_database_pool_size", "Maximum database connections.")
POOL_TIMEOUTS = Counter("paraqueue_database_pool_timeouts_total", "Timeouts (15 s) waiting for a database connection.")
DATABASE_ERRORS = Counter(
    "paraqueue_database_errors_total",
    "Database requests without a response, or whose connection was lost.",
)

# The possible failure codes of a job. Their series exist from the start, since a rate needs an initial zero.
FAMILIES = ("audio_", "source_", "storage_")
DECODING = ("decode_limit", "decode_stalled")
OTHERS = ("internal", "unavailable", *DECODING, "out_of_memory", "worker_lost", "poison", "model_unavailable")
FAILURES = tuple(error.code for error in all_errors() if error.code in OTHERS or error.code.startswith(FAMILIES))
SOURCES = ("upload", "http", "https", "s3", "oss")

# Headers added by a proxy, behind which the peer address does not identify the caller.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def prepare(model: str) -> None:
    """Create the counters of a model's jobs, so that they exist before the first count."""
    for source in SOURCES:
        JOBS_SUBMITTED.labels(model, source)
    for status in (Status.COMPLETED, Status.CANCELED):
        RUNS_ENDED.labels(model, status.value, "")
    for code in FAILURES:
        RUNS_ENDED.labels(model, Status.FAILED.value, code)
    AUDIO_TRANSCRIBED.labels(model)
    PROCESSING.labels(model)


class Exposition:
    """All metrics of a process: those counted by modules and those of its own collectors."""

    def __init__(self, collectors: Sequence[Collector] = ()) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; called by Prometheus's encoders."""
        yield from REGISTRY.collect()
        for collector in self._collectors:
            yield from collector.collect()

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its media type, in the format that an Accept header requests."""
        encode, media_type = choose_encoder(accept)
        return encode(self), media_type


class Readers:
    """Who may read the metrics: with a token configured, its bearers; otherwise the networks in the settings."""

    def __init__(self, settings: MetricsSettings) -> None:
        token = settings.metrics_token
        self._token = token.get_secret_value().encode() if token is not None else None
        self._networks = settings.metrics_networks

    @property
    def need_token(self) -> bool:
        """Whether a token is required."""
        return self._token is not None

    def admit(self, headers: Mapping[str, str], address: str | None) -> bool:
        """Return whether a request may be answered; `headers` has lower-case names, `address` is the peer's."""
        if self._token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)
        return not any(name in headers for name in FORWARDED) and self._is_near(address)

    def _is_near(self, address: str | None) -> bool:
        try:
            parsed = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self._networks)
