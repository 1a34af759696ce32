"""Listings and file addresses of the model hubs, over plain HTTP without the hubs' client libraries.

The client libraries let two processes append to one partial file and accept a file with the wrong hash, so the
download is in `worker.engine.bundles.download`; this module contains only the addresses and listings of the two
hubs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from worker.engine.bundles.definitions import Source

_SHA256 = re.compile(r"[0-9a-f]{64}")


class SourceFailed(Exception):
    """A source cannot provide what was requested; the message says why. Another source may succeed."""


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Addresses of the hubs, or of compatible mirrors, and a token for private repositories."""

    modelscope_url: str = "https://www.modelscope.cn"
    huggingface_url: str = "https://huggingface.co"
    huggingface_token: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A file as a hub publishes it. Small files on Hugging Face have the hash of a git blob instead of a sha256."""

    name: str
    url: str
    size: int | None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True)
class Listing:
    """The files of a repository at an immutable revision: on Hugging Face a commit."""

    revision: str
    files: dict[str, Published]


def list_files(client: httpx.Client, source: Source, access: HubAccess) -> Listing:
    """Request the file list of a source from its hub. Raises SourceFailed."""
    try:
        if source.hub == "modelscope":
            return _modelscope(client, source, access.modelscope_url.rstrip("/"))
        return _huggingface(client, source, access)
    except httpx.HTTPError as error:
        raise SourceFailed(f"it cannot be reached: {describe(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceFailed(f"its list of files cannot be read: {type(error).__name__}: {error}") from error


def headers(source: Source, access: HubAccess) -> dict[str, str]:
    """Headers for requests to a hub; httpx drops the token when it is redirected to another host."""
    if source.hub == "huggingface" and access.huggingface_token:
        return {"Authorization": f"Bearer {access.huggingface_token}"}
    return {}


def describe(error: Exception) -> str:
    """Describe a hub error in one short line."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} for {error.request.url}"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _modelscope(client: httpx.Client, source: Source, base: str) -> Listing:
    root = f"{base}/api/v1/models/{quote(source.repository)}/repo"
    answer = client.get(f"{root}/files", params={"Revision": source.revision, "Recursive": "True"})
    answer.raise_for_status()
    files = {}
    for entry in answer.json()["Data"]["Files"]:
        if entry.get("Type") != "tree":
            name = str(entry["Path"])
            url = str(httpx.URL(root, params={"Revision": source.revision, "FilePath": name}))
            files[name] = Published(name, url, _size(entry.get("Size")), _sha256(entry.get("Sha256")))
    return Listing(source.revision, files)


def _huggingface(client: httpx.Client, source: Source, access: HubAccess) -> Listing:
    base = access.huggingface_url.rstrip("/")
    url = f"{base}/api/models/{quote(source.repository)}/revision/{quote(source.revision, safe='')}"
    answer = client.get(url, params={"blobs": "true"}, headers=headers(source, access))
    answer.raise_for_status()
    listing = answer.json()
    commit = str(listing["sha"])
    files = {}
    for entry in listing["siblings"]:
        name, large = str(entry["rfilename"]), entry.get("lfs") or {}
        files[name] = Published(
            name,
            f"{base}/{quote(source.repository)}/resolve/{commit}/{quote(name)}",
            _size(large.get("size", entry.get("size"))),
            _sha256(large.get("sha256")),
            None if large else entry.get("blobId"),
        )
    return Listing(commit, files)


def _size(value: Any) -> int | None:
    return int(value) if value is not None else None


def _sha256(value: Any) -> str | None:
    text = str(value or "").lower()
    return text if _SHA256.fullmatch(text) else None
