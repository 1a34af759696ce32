"""Decides whether two endpoint and bucket settings refer to the same bucket."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

# All of Amazon's endpoints share one namespace of buckets.
AMAZON = re.compile(r"(?:.+\.)?s3[.-](?:.+\.)?amazonaws\.com(?:\.cn)?|s3\.amazonaws\.com(?:\.cn)?")
PORTS = {"http": 80, "https": 443}


def same_bucket(one: tuple[str | None, str], other: tuple[str | None, str]) -> bool:
    """Return whether two (endpoint, bucket) pairs refer to the same bucket; an endpoint of None is Amazon's.

    Endpoints are compared without case, default ports, trailing dots, paths and a bucket in the host name, and by the
    addresses that their names resolve to.
    """
    (_, bucket), (_, other_bucket) = one, other
    if bucket.lower().rstrip(".") != other_bucket.lower().rstrip("."):
        return False
    places = [_place(endpoint, bucket) for endpoint, _ in (one, other)]
    return places[0] == places[1] or not _addresses(*places[0]).isdisjoint(_addresses(*places[1]))


def _place(endpoint: str | None, bucket: str) -> tuple[str, int]:
    """Return the host, without the bucket, and the port."""
    if endpoint is None:
        return "amazonaws", 443
    parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    host = (parts.hostname or "").rstrip(".").removeprefix(f"{bucket.lower()}.")
    if AMAZON.fullmatch(host):
        return "amazonaws", 443
    # Alibaba's internal and public endpoints lead to the same buckets.
    return host.replace("-internal.aliyuncs.com", ".aliyuncs.com"), parts.port or PORTS.get(parts.scheme, 443)


def _addresses(host: str, port: int) -> set[tuple[str, int]]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {(str(entry[4][0]), port) for entry in entries}
