"""The layout of audio in storage: everything of a job lies under one prefix, and goes with it.

An upload lies where the job that is made of it looks for its audio: an upload's id is that of its job, so nothing is
copied. What a worker writes carries its token, so that one which lost its lease overwrites nothing.
"""

from __future__ import annotations

import uuid

ROOT = "audio/"


def prefix(job_id: uuid.UUID) -> str:
    """The keys of a job all begin so."""
    return f"{ROOT}{job_id.hex}/"


def upload(job_id: uuid.UUID) -> str:
    """What a client sent, in one request or in many."""
    return f"{prefix(job_id)}upload"


def fetched(job_id: uuid.UUID, token: uuid.UUID) -> str:
    """The copy of a link's audio that an attempt made."""
    return f"{prefix(job_id)}{token.hex}"


def derived(source_key: str, kind: str, token: uuid.UUID) -> str:
    """What the light worker made of the audio under `source_key`."""
    return beside(source_key, f"{kind}-{token.hex}")


def token_of_derived(key: str) -> str:
    """The token, in hexadecimal, with which something was derived."""
    return key.rpartition("-")[2]


def beside(key: str, name: str) -> str:
    """The key of something that belongs to the same job."""
    return f"{directory(key)}{name}"


def directory(key: str) -> str:
    """The prefix of a key's job, for who knows the key only."""
    return f"{key.rpartition('/')[0]}/"


def job_of(key: str) -> uuid.UUID | None:
    """The job that a key belongs to; None for what somebody else put beside our audio."""
    try:
        job_id = uuid.UUID(hex=key.split("/")[1])
    except (IndexError, ValueError):
        return None
    return job_id if key.startswith(prefix(job_id)) else None
