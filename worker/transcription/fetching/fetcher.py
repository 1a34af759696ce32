"""The audio of a job: its link copied to our storage, and the copy, or the upload, as a local file.

A link is copied, with its SHA-256, before anything is recognised: every attempt then reads the same bytes, whatever
has become of the link.
"""

from __future__ import annotations

import errno
import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar
from urllib.parse import unquote

from common import audio_keys, file_names, jobs, tenants
from common.db import Database
from common.errors import SourceNotFound, StorageFull
from common.jobs import Claim, FetchedAudio
from common.links import HTTP_SCHEMES, checked_bucket
from common.settings import Settings
from common.storage import Storage, Stored, s3_client
from worker.transcription.fetching.download import download
from worker.transcription.fetching.http_source import HttpSource
from worker.transcription.fetching.interruptible import interruptible
from worker.transcription.fetching.limits import FetchLimits, RateFloor
from worker.transcription.fetching.object_source import ObjectSource

COPY_BYTES = 1024 * 1024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches audio for the jobs of one worker."""

    settings: Settings
    database: Database
    storage: Storage

    @contextmanager
    def fetch(self, held: Claim, check: Callable[[], None]) -> Iterator[Path]:
        """A local file with the job's audio, for as long as the context lasts.

        `check` is called often and may raise to stop. Raises SourceNotFound and the Storage… errors.
        """
        key = held.job.source.audio_key
        if key is None:
            raise SourceNotFound("the audio of this job was deleted")
        scratch = self.settings.scratch_dir / uuid.uuid4().hex
        with _room(scratch):
            path = self._patient(lambda: self.storage.fetch(key, scratch), scratch, check)
            self._know_hash(held, key, path, check)
            yield path

    def copy_link(self, held: Claim, check: Callable[[], None]) -> FetchedAudio:
        """Download the job's link into storage, under a key of this attempt: a fenced-off worker overwrites nothing.

        `check` is called often and may raise to stop. Raises the Source… and Storage… errors.
        """
        url = held.job.source.url
        if url is None:
            raise SourceNotFound("the audio of this job was deleted")
        scratch = self.settings.scratch_dir / uuid.uuid4().hex
        with _room(scratch):
            path = scratch / "download"
            disposition = self._download(url, path, self._limits(held), check)
            key = audio_keys.fetched(held.job.id, held.token)
            stored = self._patient(lambda: _put(self.storage, key, path, check), scratch, check)
            return FetchedAudio(key, stored.size, stored.sha256, file_names.of_disposition(disposition))

    def _know_hash(self, held: Claim, key: str, path: Path, check: Callable[[], None]) -> None:
        """Store the hash of an upload that no single API process received completely, once a worker has its bytes."""
        source = held.job.source
        if source.audio_sha256 is not None:
            return
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(COPY_BYTES):
                check()
                digest.update(piece)
        jobs.record_audio(self.database, held, key=key, size=path.stat().st_size, sha256=digest.hexdigest())

    def _download(self, url: str, path: Path, limits: FetchLimits, check: Callable[[], None]) -> str | None:
        """Returns the Content-Disposition of the link."""
        scheme, _, rest = url.partition("://")
        scheme = scheme.lower()
        if scheme in HTTP_SCHEMES:
            floor = RateFloor(limits)

            def check_both() -> None:
                check()
                floor.check()  # also while headers come byte by byte

            source = HttpSource(url, limits, check_both)
            try:
                return download(source.open, path, limits, check, floor)
            finally:
                source.close()
        bucket, _, key = rest.partition("/")
        client = self._object_client(scheme, bucket)
        # Same rules as in the API: white space and the per cent sign in keys are written %20 and %25.
        source_open = ObjectSource(client, bucket, unquote(key)).open
        return self._patient(lambda: download(source_open, path, limits, check), path.parent, check)

    def _patient(self, call: Callable[[], T], scratch: Path, check: Callable[[], None]) -> T:
        """A call into boto3, which does not return while the store is silent; the job need not wait for it."""
        return interruptible(call, check, left_behind=lambda: rmtree(scratch, ignore_errors=True))

    def _limits(self, held: Claim) -> FetchLimits:
        settings = self.settings
        own = tenants.largest_upload(self.database, held.job.tenant, held.job.key_id)
        return FetchLimits(
            # The upload limit of a tenant or key also applies to links.
            max_bytes=min(own or settings.max_upload_bytes, settings.max_upload_bytes),
            timeout_seconds=settings.fetch_timeout_seconds,
            stall_seconds=settings.fetch_stall_seconds,
            resumes=settings.fetch_resumes,
            allowed_private=settings.fetch_allowed_private,
            ports=settings.fetch_ports,
            min_bytes_per_second=settings.fetch_min_bytes_per_second,
            min_rate_seconds=settings.fetch_min_rate_seconds,
        )

    def _object_client(self, scheme: str, bucket: str) -> Any:
        """The client for a bucket. Raises SourceNotAllowed for one that links may not read."""
        store = checked_bucket(self.settings, scheme, bucket)
        secret = store.secret_access_key
        return s3_client(
            endpoint_url=store.endpoint_url,
            region=store.region,
            access_key_id=store.access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            addressing_style=store.addressing_style,
            checksums=store.checksums,
        )


@contextmanager
def _room(scratch: Path) -> Iterator[None]:
    """A directory for one attempt, deleted afterwards. A full disk is reported as StorageFull."""
    try:
        scratch.mkdir(parents=True)
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull("the worker's scratch disk is full") from error
        raise
    finally:
        rmtree(scratch, ignore_errors=True)  # an abandoned call may still write there; it cleans up itself


def _put(storage: Storage, key: str, path: Path, check: Callable[[], None]) -> Stored:
    writer = storage.writer(key)
    try:
        with path.open("rb") as file:
            while piece := file.read(COPY_BYTES):
                check()
                writer.write(piece)
        return writer.commit()
    except BaseException:
        writer.abort()
        raise
