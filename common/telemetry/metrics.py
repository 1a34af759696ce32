"""Metrics in Prometheus's form: those that every process has, and how they are handed out.

A metric that is counted where it happens is a module's constant, in the registry of the library. What is asked of an
object when somebody reads (a pool, an engine) is a collector of that process. Labels take few values: never an id, a
tenant, a key, or anything that a client may choose.
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

# A second series for each counter, with the moment it was made: nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

JOBS_SUBMITTED = Counter(
    "paraqueue_jobs_submitted_total", "Accepted jobs, by model and kind of source.", ["model", "source"]
)
RUNS_ENDED = Counter(
    "paraqueue_runs_ended_total",
    "Runs that ended, by final status and, for failures, error code. Counted by the process that committed the end.",
    ["model", "status", "error_code"],
)
AUDIO_TRANSCRIBED = Counter("paraqueue_audio_transcribed_seconds_total", "Audio of completed runs.", ["model"])
PROCESSING = Counter("paraqueue_processing_seconds_total", "Transcription time of completed runs.", ["model"])
MESSAGES = Counter(
    "paraqueue_messages_total",
    "Celery messages by task and outcome: `sent`, or `failed` if Redis did not accept them.",
    ["task", "outcome"],
)
POOL_IN_USE = Gauge("paraqueue_database_pool_in_use", "Pool connections in use.")
POOL_SIZE = Gauge("paraqueue_database_pool_size", "Maximum size of the connection pool.")
POOL_TIMEOUTS = Counter("paraqueue_database_pool_timeouts_total", "Timeouts waiting for a pool connection (15 s).")
DATABASE_ERRORS = Counter(
    "paraqueue_database_errors_total",
    "Database requests that failed because the server did not respond or the connection was lost.",
)

# Why a job may fail: of these series there is one from the start, for a rate needs a zero to begin from.
FAMILIES = ("audio_", "source_", "storage_")
DECODING = ("decode_limit", "decode_stalled")
OTHERS = ("internal", "unavailable", *DECODING, "out_of_memory", "worker_lost", "poison", "model_unavailable")
FAILURES = tuple(error.code for error in all_errors() if error.code in OTHERS or error.code.startswith(FAMILIES))
SOURCES = ("upload", "http", "https", "s3", "oss")

# What a proxy adds: the connection then says nothing of who asks.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def prepare(model: str) -> None:
    """Have the counters of a model's jobs there before the first one is counted."""
    for source in SOURCES:
        JOBS_SUBMITTED.labels(model, source)
    for status in (Status.COMPLETED, Status.CANCELED):
        RUNS_ENDED.labels(model, status.value, "")
    for code in FAILURES:
        RUNS_ENDED.labels(model, Status.FAILED.value, code)
    AUDIO_TRANSCRIBED.labels(model)
    PROCESSING.labels(model)


class Exposition:
    """All metrics of a process: what the modules count, and what its own collectors tell when asked."""

    def __init__(self, collectors: Sequence[Collector] = ()) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        """What Prometheus's encoders call."""
        yield from REGISTRY.collect()
        for collector in self._collectors:
            yield from collector.collect()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text, and its media type, in the form that an Accept header asks for."""
        encode, media_type = choose_encoder(accept)
        return encode(self), media_type


class Readers:
    """Who may read the metrics: with a token whoever has it, without one the networks of the settings."""

    def __init__(self, settings: MetricsSettings) -> None:
        token = settings.metrics_token
        self._token = token.get_secret_value().encode() if token is not None else None
        self._networks = settings.metrics_networks

    @property
    def need_token(self) -> bool:
        """Whether a token is what counts."""
        return self._token is not None

    def admit(self, headers: Mapping[str, str], address: str | None) -> bool:
        """Whether a request may be answered; `headers` has names in lower case, `address` is the other side's."""
        if self._token is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)
        return not any(name in headers for name in FORWARDED) and self._is_near(address)

    def _is_near(self, address: str | None) -> bool:
        try:
            found = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        plain = getattr(found, "ipv4_mapped", None) or found
        return any(plain in network for network in self._networks)
