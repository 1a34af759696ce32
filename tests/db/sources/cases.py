"""What is fetched, and by which jobs."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common import ids, jobs
from common.db import Database
from common.jobs import Claim, Submission
from common.settings import Settings
from common.storage import Storage
from tests.db.job_cases import claimed
from worker.transcription.fetching.fetcher import Fetcher

CONTENT = random.Random(7).randbytes(2_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def link(database: Database, url: str | None, *, key: str | None = None, key_id: uuid.UUID | None = None) -> Claim:
    """A claimed job for a link, or for an upload under `key`."""
    kind = url.partition(":")[0] if url else "upload"
    job = jobs.submit(database, Submission(ids.new_id(), "demo-zh", kind, url=url, audio_key=key, key_id=key_id))
    return claimed(database, job)


def again(database: Database, job_id: uuid.UUID) -> Claim:
    return claimed(database, jobs.get(database, job_id))


@contextmanager
def local(fetcher: Fetcher, claim: Claim, check: Callable[[], None]) -> Iterator[Path]:
    """What becomes of a claimed link: copied, handed over, claimed again for a slot, and there as a file."""
    audio = fetcher.copy_link(claim, check)
    jobs.hand_over(fetcher.database, claim, audio, stage_ms={})
    with fetcher.fetch(again(fetcher.database, claim.job.id), check) as path:
        yield path


def scratch_is_empty(settings: Settings) -> bool:
    return not settings.scratch_dir.exists() or not list(settings.scratch_dir.iterdir())


def keys(storage: Storage) -> list[str]:
    return [key for key, _ in storage.keys("audio/")]


def nothing() -> None:
    """A check that never stops anything."""
