"""The console's libraries: downloaded from npm as pinned in `vendor.json`, written to where the page loads them.

`python -m dev.vendor` downloads and writes them; a package file or a written file whose hash differs from the manifest
is an error. `--pin` updates the hashes from the download, after a version in the manifest was changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from dev.node import npm

DIRECTORY = Path(__file__).resolve().parent.parent / "console" / "vendor"
MANIFEST = DIRECTORY / "vendor.json"
# Browsers would request source maps that we do not ship.
SOURCE_MAP = re.compile(rb"\n?//# sourceMappingURL=\S+\s*$")


class WrongHash(Exception):
    """A file does not match the hash that the manifest pins."""


def sha256(data: bytes) -> str:
    """Return the hash in the manifest's format."""
    return hashlib.sha256(data).hexdigest()


def served(data: bytes, replace: dict[str, str]) -> bytes:
    """Return a package file as the page loads it: no source map, and imports by path, as browsers need."""
    data = SOURCE_MAP.sub(b"\n", data)
    for old, put in replace.items():
        if old.encode() not in data:
            raise ValueError(f"there is no {old} to replace")
        data = data.replace(old.encode(), put.encode())
    return data


def write(library: dict[str, Any], package: Path, *, pin: bool) -> None:
    """Write the files of one library. Raises WrongHash."""
    for file in library["files"]:
        data = (package / file["from"]).read_bytes()
        _check(file, "published_sha256", data, pin=pin)
        data = served(data, file.get("replace", {}))
        _check(file, "sha256", data, pin=pin)
        target = DIRECTORY / file["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _check(file: dict[str, Any], field: str, data: bytes, *, pin: bool) -> None:
    actual = sha256(data)
    if pin:
        file[field] = actual
    elif file.get(field) != actual:
        raise WrongHash(f"{file['file']}: the manifest's {field} is {file.get(field)}, the download has {actual}")


def fetched(library: dict[str, Any], place: Path) -> Path:
    """Download and unpack the package of a library. npm takes its registry from its own configuration."""
    wanted = f"{library['name']}@{library['version']}"
    printed = npm("pack", "--json", "--pack-destination", str(place), wanted, cwd=place)
    name = str(json.loads(printed)[0]["filename"]).replace("@", "").replace("/", "-")
    target = place / name.removesuffix(".tgz")
    with tarfile.open(place / name) as archive:
        archive.extractall(target, filter="data")
    return target / "package"


def main() -> int:
    """Download and write all libraries; return the exit status."""
    pin = "--pin" in sys.argv[1:]
    manifest = json.loads(MANIFEST.read_text())
    with tempfile.TemporaryDirectory() as place:
        for library in manifest["libraries"]:
            write(library, fetched(library, Path(place)), pin=pin)
            print(f"{library['name']} {library['version']}")
    if pin:
        MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
