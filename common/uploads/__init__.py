"""Resumable uploads: their metadata, write locks and durable progress."""

from common.uploads.append import Append, Terms, begin
from common.uploads.checksums import ALGORITHMS, Checksum, Hashes
from common.uploads.direct import begin_direct, complete_direct
from common.uploads.rows import Room, consume, create, expire, forget, get, live, remove
from common.uploads.upload import Upload
from common.uploads.whole import ensure_complete

__all__ = [
    "ALGORITHMS",
    "Append",
    "Checksum",
    "Hashes",
    "Room",
    "Terms",
    "Upload",
    "begin",
    "begin_direct",
    "complete_direct",
    "consume",
    "create",
    "ensure_complete",
    "expire",
    "forget",
    "get",
    "live",
    "remove",
]
