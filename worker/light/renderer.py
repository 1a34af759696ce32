"""Makes the renditions of a job's audio that browsers request: one at a time in each light worker, in its own thread.

The decoding child runs under the decoding limits, and its output is streamed from a pipe to storage: neither disk nor
memory use grows with the length of the audio, except for the copy of the source when storage is S3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from common import renditions
from common.background import Background
from common.db import Database
from common.errors import AudioEmpty, ParaqueueError, Unavailable
from common.renditions import Kind, RenditionTask
from common.settings import Settings
from common.storage import Storage, Writer
from common.telemetry import get_logger
from common.transcript.peaks import RATE, Meter
from worker.engine.decoding import messages
from worker.engine.decoding import process as decoding
from worker.engine.decoding.process import Child

log = get_logger(__name__)
KEEP_SECONDS = 10.0
DECODE_STALL_SECONDS = 60.0
MP3_RATE = 24_000


class Renderer(Background):
    """A thread that makes requested renditions when woken."""

    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        super().__init__("renderer")
        self._settings = settings
        self._database = database
        self._storage = storage

    def work(self) -> None:
        """Make requested renditions until none is left."""
        try:
            while not self.stopping and (order := self._next()) is not None:
                self._make(order)
        except ParaqueueError as error:
            # The sweep wakes us again in a few seconds.
            log.warning("renditions_postponed", error_code=error.code, reason=error.message)

    def _next(self) -> RenditionTask | None:
        """Claim the next rendition. Peaks come first: they take a tenth of the time."""
        return renditions.take(self._database, Kind.PEAKS) or renditions.take(self._database, Kind.PLAYABLE)

    def _make(self, order: RenditionTask) -> None:
        began = time.monotonic()
        kind = order.kind.value
        try:
            self._render(order)
        except ParaqueueError as error:
            if error.retryable:  # it is retried later and does not delay the others
                renditions.give_back(self._database, order)
                log.warning("rendition_postponed", job_id=order.job_id.hex, kind=kind, error_code=error.code)
                return
            renditions.failed(self._database, order, error.message)
            log.warning(
                "rendition_failed", job_id=order.job_id.hex, kind=kind, error_code=error.code, reason=error.message
            )
            return
        if not renditions.ready(self._database, order):
            self._storage.delete(order.key)
            return
        took_ms = round((time.monotonic() - began) * 1000)
        log.info("rendition_made", job_id=order.job_id.hex, kind=kind, took_ms=took_ms)

    def _render(self, order: RenditionTask) -> None:
        scratch = self._settings.scratch_dir / f"rendition-{order.token.hex}"
        scratch.mkdir(parents=True)
        writer: Writer | None = None
        try:
            path = self._storage.fetch(order.source_key, scratch)
            writer = self._storage.writer(order.key)
            if order.kind is Kind.PEAKS:
                meter = Meter()
                self._decode(order, path, meter.take)
                writer.write(meter.done().dump())
            else:
                self._decode(order, path, writer.write)
            writer.commit()
            writer = None
        finally:
            if writer is not None:
                writer.abort()
            for left in scratch.iterdir():
                left.unlink()
            scratch.rmdir()

    def _decode(self, order: RenditionTask, path: Path, take: Callable[[bytes], None]) -> None:
        child = self._start(order, path)
        size = 0
        try:
            for kind, payload in child.messages():
                if kind == messages.SOUND:
                    take(payload)
                    size += len(payload)
        finally:
            child.close()
        if not size:
            raise AudioEmpty("the audio track has no samples")

    def _start(self, order: RenditionTask, path: Path) -> Child:
        settings = self._settings
        peaks = order.kind is Kind.PEAKS
        wanted = decoding.Order(
            "peaks" if peaks else "mp3",
            order.track,
            rate=RATE if peaks else MP3_RATE,
            most_seconds=settings.max_audio_ms // 1000,
        )
        with path.open("rb", buffering=0) as file:
            return Child(
                file,
                wanted,
                cpu_seconds=settings.decode_cpu_seconds,
                memory_bytes=settings.decode_memory_bytes,
                idle_seconds=DECODE_STALL_SECONDS,
                check=self._keeping(order),
            )

    def _keeping(self, order: RenditionTask) -> Callable[[], None]:
        """A check that keeps the task while its child is read. It raises Unavailable when the work is to stop."""
        kept_at = time.monotonic()

        def check() -> None:
            nonlocal kept_at
            if self.stopping:
                raise Unavailable("this worker is shutting down")
            if time.monotonic() - kept_at > KEEP_SECONDS:
                kept_at = time.monotonic()
                if not renditions.keep(self._database, order):
                    raise Unavailable("the lease of this task was lost")

        return check
