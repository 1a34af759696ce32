"""What is uploaded, and what is kept of it."""

from __future__ import annotations

import random
import uuid

from common import audio_keys
from tests.api.api_cases import Api

LIMIT = 64 * 1024 * 1024
MEBIBYTE = 1024 * 1024


def content_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def kept(api: Api, url: str) -> bytes:
    """The bytes of the object that an upload became."""
    key = audio_keys.upload(uuid.UUID(url.rpartition("_")[2]))
    return b"".join(api.storage.read(key, 0, api.storage.size(key)))
