"""Reads Celery's messages like a worker, for many workers on one connection."""

from __future__ import annotations

import base64
import json
import uuid
from typing import cast

import redis

from common import ids

WAIT_SECONDS = 1


def next_job(client: redis.Redis, queue: str) -> uuid.UUID | None:
    """Take the next message and return the job it names; None if none came within a second."""
    found = cast("tuple[bytes, bytes] | None", client.brpop([queue], timeout=WAIT_SECONDS))
    if found is None:
        return None
    (shown,), _, _ = json.loads(base64.b64decode(json.loads(found[1])["body"]))
    return ids.parsed(ids.JOB, shown)
