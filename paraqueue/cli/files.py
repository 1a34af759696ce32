"""Input files and output paths of a command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paraqueue.audio_sources import is_link
from paraqueue.errors import ConfigurationError
from paraqueue.extensions import EXTENSIONS


@dataclass(frozen=True)
class Sources:
    """What to submit, and the files of folders that are left out because of their extension."""

    found: list[str]
    skipped: list[str]


def expanded(sources: Iterable[str]) -> Sources:
    """Files and links unchanged, folders replaced by the audio and video in them.

    A file given by name is taken whatever its extension. Raises ConfigurationError, OSError.
    """
    found: list[str] = []
    skipped: list[str] = []
    for source in sources:
        path = Path(source)
        if is_link(source):
            found.append(source)
        elif path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.is_file())
            fitting = [item for item in inside if _is_media(item)]
            if not fitting:
                raise ConfigurationError(f"there is no audio or video in {source} (other files: {len(inside)})")
            found += map(str, fitting)
            skipped += [str(item) for item in inside if not _is_media(item)]
        else:
            with path.open("rb"):  # fail now if it cannot be read, not after other files were uploaded
                found.append(source)
    return Sources(found, skipped)


def _is_media(path: Path) -> bool:
    """Whether a file's extension is one that the service decodes. macOS puts a `._a.mp3` without sound beside files."""
    return path.suffix.lower().removeprefix(".") in EXTENSIONS and not path.name.startswith("._")


def output_paths(sources: list[str], directory: Path, form: str) -> list[Path]:
    """An output path per source, named after it; duplicate names are numbered."""
    taken: set[Path] = set()
    paths: list[Path] = []
    for source in sources:
        stem = Path(source.partition("?")[0]).stem if is_link(source) else Path(source).stem
        path, number = directory / f"{stem or 'audio'}.{form}", 2
        while path in taken:
            path, number = directory / f"{stem or 'audio'}-{number}.{form}", number + 1
        taken.add(path)
        paths.append(path)
    return paths


def lines(source: str) -> list[str]:
    """The lines of a file, or of standard input for `-`, without empty ones. Raises ConfigurationError, OSError."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{source} is not text in UTF-8") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
