"""Storage keys of audio: all objects of a job share one prefix and are deleted with the job.

An upload has the same id as the job created from it, so it is already stored where the job looks for its audio and
nothing is copied. Keys written by a worker contain its lease token, so a worker that lost its lease overwrites nothing.
"""

from __future__ import annotations

import uuid

ROOT = "audio/"


def prefix(job_id: uuid.UUID) -> str:
    """Return the prefix shared by all keys of a job."""
    return f"{ROOT}{job_id.hex}/"


def upload(job_id: uuid.UUID) -> str:
    """Return the key of an upload, sent in one request or many."""
    return f"{prefix(job_id)}upload"


def upload_tail(job_id: uuid.UUID, name: str) -> str:
    """Return the key of the bytes of an upload that do not fill a part of its multipart upload yet."""
    return beside(upload(job_id), name)


def fetched(job_id: uuid.UUID, token: uuid.UUID) -> str:
    """Return the key of an attempt's copy of linked audio."""
    return f"{prefix(job_id)}{token.hex}"


def derived(source_key: str, kind: str, token: uuid.UUID) -> str:
    """Return the key of what was derived from the audio under `source_key`."""
    return beside(source_key, f"{kind}-{token.hex}")


def token_of_derived(key: str) -> str:
    """Return the token, in hexadecimal, under which an object was derived."""
    return key.rpartition("-")[2]


def beside(key: str, name: str) -> str:
    """Return the key of another object of the same job."""
    return f"{directory(key)}{name}"


def directory(key: str) -> str:
    """Return the prefix of a key's job, for callers that know only the key."""
    return f"{key.rpartition('/')[0]}/"


def job_of(key: str) -> uuid.UUID | None:
    """Return the job that a key belongs to, or None for an object that is not ours."""
    try:
        job_id = uuid.UUID(hex=key.split("/")[1])
    except (IndexError, ValueError):
        return None
    return job_id if key.startswith(prefix(job_id)) else None
