"""Makes audio over into what browsers play: one at a time in each light worker, in a thread of its own.

ffmpeg runs under the limits of decoding, and its mp3 goes from a pipe to storage: neither the disk nor the memory
of this machine grows with the audio, but for the copy of its source where storage is S3.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped, unused-ignore]

from common import renditions
from common.background import Background
from common.db import Database
from common.errors import AudioNotDecodable, DecodeLimit, ParaqueueError, Unavailable
from common.renditions import Order
from common.settings import Settings
from common.storage import Storage, Writer
from common.telemetry import get_logger
from worker.engine import ffmpeg

log = get_logger(__name__)
KEEP_SECONDS = 10.0


class Renderer(Background):
    """A thread that makes what is asked for when woken."""

    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        super().__init__("renderer")
        self._settings = settings
        self._database = database
        self._storage = storage

    def work(self) -> None:
        """Make what is asked for, until nothing is."""
        try:
            while not self.stopping and (order := renditions.take(self._database)) is not None:
                self._make(order)
        except ParaqueueError as error:
            # The sweep wakes us again in a few seconds.
            log.warning("renditions_postponed", error_code=error.code, reason=error.message)

    def _make(self, order: Order) -> None:
        began = time.monotonic()
        try:
            self._render(order)
        except ParaqueueError as error:
            if error.retryable:
                renditions.give_back(self._database, order)
                raise
            renditions.failed(self._database, order, error.message)
            log.warning("rendition_failed", job_id=order.job_id.hex, error_code=error.code, reason=error.message)
            return
        if not renditions.ready(self._database, order):
            self._storage.delete(order.key)
            return
        log.info("rendition_made", job_id=order.job_id.hex, took_ms=round((time.monotonic() - began) * 1000))

    def _render(self, order: Order) -> None:
        scratch = self._settings.scratch_dir / f"rendition-{order.token.hex}"
        scratch.mkdir(parents=True)
        writer: Writer | None = None
        try:
            path = self._storage.fetch(order.source_key, scratch)
            writer = self._storage.writer(order.key)
            self._transcode(order, path, writer)
            writer.commit()
            writer = None
        finally:
            if writer is not None:
                writer.abort()
            for left in scratch.iterdir():
                left.unlink()
            scratch.rmdir()

    def _transcode(self, order: Order, path: Path, writer: Writer) -> None:
        settings = self._settings
        with path.open("rb", buffering=0) as file:
            child = ffmpeg.start_mp3(
                imageio_ffmpeg.get_ffmpeg_exe(),
                file,
                most_seconds=settings.max_audio_ms // 1000,
                cpu_seconds=settings.decode_cpu_seconds,
                memory_bytes=settings.decode_memory_bytes,
            )
        report = ffmpeg.Report(ffmpeg.pipe(child.stderr))
        out = ffmpeg.pipe(child.stdout)
        size, kept_at = 0, time.monotonic()
        try:
            while piece := os.read(out.fileno(), ffmpeg.PIPE_BYTES):
                writer.write(piece)
                size += len(piece)
                if time.monotonic() - kept_at > KEEP_SECONDS:
                    kept_at = time.monotonic()
                    if self.stopping or not renditions.keep(self._database, order):
                        raise Unavailable("this worker is about to end, or was too slow")
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            report.close()
            out.close()
        if code < 0:
            raise DecodeLimit("making the audio playable took more processor time than the limit")
        if not size:
            raise AudioNotDecodable(f"ffmpeg cannot decode the file: {report.last_words() or f'exit status {code}'}")
