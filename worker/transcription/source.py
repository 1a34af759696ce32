"""The audio of a job as a local file.

A link is copied to our storage, with its SHA-256, before anything is recognised: a later attempt then reads the
same bytes, whatever has become of the link.
"""

from __future__ import annotations

import errno
import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar
from urllib.parse import unquote

from common import audio_keys, jobs, tenants
from common.db import Database
from common.errors import SourceNotAllowed, SourceNotFound, StorageFull
from common.jobs import Claim
from common.settings import Settings
from common.storage import Storage, Stored, s3_client, same_bucket
from worker.transcription.download import FetchLimits, HttpSource, ObjectSource, download
from worker.transcription.interruptible import interruptible

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

        `check` is called often and may raise to stop. Raises the Source… and Storage… errors.
        """
        scratch = self.settings.scratch_dir / uuid.uuid4().hex
        with _room(scratch):
            key = held.job.source.audio_key or self._copy_link(held, scratch, check)
            path = self._patient(lambda: self.storage.fetch(key, scratch), scratch, check)
            self._know_hash(held, key, path, check)
            yield path

    def _know_hash(self, held: Claim, key: str, path: Path, check: Callable[[], None]) -> None:
        """Of an upload whose bytes no process of the API saw as a whole; the first worker that has them does."""
        source = held.job.source
        if source.audio_key is None or source.audio_sha256 is not None:
            return
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(COPY_BYTES):
                check()
                digest.update(piece)
        jobs.record_audio(self.database, held, key=key, size=path.stat().st_size, sha256=digest.hexdigest())

    def _copy_link(self, held: Claim, scratch: Path, check: Callable[[], None]) -> str:
        """Download a link into storage, under a key of this attempt, so that a fenced-off worker overwrites nothing."""
        url = held.job.source.url
        if url is None:
            raise SourceNotFound("the audio of this job was deleted")
        path = scratch / "download"
        self._download(url, path, self._limits(held), check)
        key = audio_keys.fetched(held.job.id, held.token)
        stored = self._patient(lambda: _put(self.storage, key, path, check), scratch, check)
        path.unlink()
        jobs.record_audio(self.database, held, key=key, size=stored.size, sha256=stored.sha256)
        return key

    def _download(self, url: str, path: Path, limits: FetchLimits, check: Callable[[], None]) -> None:
        scheme, _, rest = url.partition("://")
        scheme = scheme.lower()
        if scheme in {"http", "https"}:
            source = HttpSource(url, limits, check)
            try:
                download(source.open, path, limits, check)
            finally:
                source.close()
            return
        bucket, _, key = rest.partition("/")
        client = self._object_client(scheme, bucket)
        # As the API asks for: white space in a key, and the per cent sign itself, are written %20 and %25.
        source_open = ObjectSource(client, bucket, unquote(key)).open
        self._patient(lambda: download(source_open, path, limits, check), path.parent, check)

    def _patient(self, call: Callable[[], T], scratch: Path, check: Callable[[], None]) -> T:
        """A call into boto3, which does not return while the store is silent; the job need not wait for it."""
        return interruptible(call, check, left_behind=lambda: rmtree(scratch, ignore_errors=True))

    def _limits(self, held: Claim) -> FetchLimits:
        settings = self.settings
        own = tenants.largest_upload(self.database, held.job.tenant, held.job.key_id)
        return FetchLimits(
            # What a tenant or key may not upload it may not have fetched either.
            max_bytes=min(own or settings.max_upload_bytes, settings.max_upload_bytes),
            timeout_seconds=settings.fetch_timeout_seconds,
            stall_seconds=settings.fetch_stall_seconds,
            max_redirects=settings.fetch_max_redirects,
            resumes=settings.fetch_resumes,
            allowed_private=settings.fetch_allowed_private,
            ports=settings.fetch_ports,
        )

    def _object_client(self, scheme: str, bucket: str) -> Any:
        """The client for a bucket. Raises SourceNotAllowed for one that is not on the list, or is our own.

        A link never opens anything with the storage's own key or with what boto3 finds around it: without
        credentials of their own there are no links to objects.
        """
        store = self.settings.s3_source if scheme == "s3" else self.settings.oss_source
        setting = f"PARAQUEUE_{'SOURCE_S3' if scheme == 's3' else 'OSS'}"
        if scheme == "oss" and not store.endpoint_url:
            raise SourceNotAllowed(f"this installation has no OSS endpoint ({setting}_ENDPOINT_URL)")
        if not store.access_key_id:
            raise SourceNotAllowed(f"this installation has no credentials for {scheme}:// links")
        if not any(fnmatchcase(bucket, name) for name in store.buckets):
            raise SourceNotAllowed(f"the bucket {bucket!r} is not one that links may lead to ({setting}_BUCKETS)")
        if self._is_storage(store.endpoint_url, bucket):
            raise SourceNotAllowed("the link refers to the storage of this installation")
        secret = store.secret_access_key
        return s3_client(
            endpoint_url=store.endpoint_url,
            region=store.region,
            access_key_id=store.access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            addressing_style=store.addressing_style,
            checksums=store.checksums,
        )

    def _is_storage(self, endpoint: str | None, bucket: str) -> bool:
        """Whether a bucket is our own, however its endpoint is written."""
        if not self.settings.storage_url.startswith("s3://"):
            return False
        ours = self.settings.storage_url.removeprefix("s3://").partition("/")[0]
        return same_bucket((endpoint, bucket), (self.settings.s3_endpoint_url, ours))


@contextmanager
def _room(scratch: Path) -> Iterator[None]:
    """A directory for one attempt, gone with it. A full disk is said as StorageFull."""
    try:
        scratch.mkdir(parents=True)
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull("the worker's scratch disk is full") from error
        raise
    finally:
        rmtree(scratch, ignore_errors=True)  # a call that was left behind may still write there, and clears up itself


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
