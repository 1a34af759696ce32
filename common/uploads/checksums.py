"""Hashes of uploads: of one request, as the client announces it, and of the whole, over all requests."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from common.errors import InvalidRequest

ALGORITHMS = ("sha1", "sha256", "md5")


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: str
    digest: bytes

    @classmethod
    def parsed(cls, header: str) -> Checksum:
        """From tus' `Upload-Checksum: sha1 <base64>`. Raises InvalidRequest."""
        algorithm, _, encoded = header.strip().partition(" ")
        if algorithm not in ALGORITHMS:
            raise InvalidRequest(f"`Upload-Checksum` supports {', '.join(ALGORITHMS)}")
        try:
            digest = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise InvalidRequest("`Upload-Checksum` is not base64") from None
        if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
            raise InvalidRequest(f"`Upload-Checksum` does not have the length of a {algorithm}")
        return cls(algorithm, digest)

    def hasher(self) -> Any:
        """To be fed with the bytes."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


class Hashes:
    """The SHA-256 of uploads that stand still, so that the next request goes on with it. Thread-safe.

    hashlib cannot write such a state down. So a request that reaches another process, or comes after a restart, finds
    none, and the bytes are read again at the end.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[uuid.UUID, tuple[int, Any]] = OrderedDict()

    def take(self, upload_id: uuid.UUID, offset: int) -> Any | None:
        """The hash of the first `offset` bytes; None if it is not known."""
        if offset == 0:
            return hashlib.sha256()
        with self._lock:
            kept_offset, kept = self._kept.pop(upload_id, (0, None))
        return kept if kept_offset == offset else None

    def put(self, upload_id: uuid.UUID, offset: int, state: Any) -> None:
        """Keep the hash of the first `offset` bytes."""
        with self._lock:
            self._kept[upload_id] = (offset, state)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
