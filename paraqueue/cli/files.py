"""Input files and output paths of a command."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paraqueue.errors import ConfigurationError
from paraqueue.operations import is_link

# File extensions searched for in a folder; a file given by name is accepted whatever its extension.
AUDIO = frozenset(
    {".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".caf", ".flac", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp2"}
    | {".mp3", ".mp4", ".mpga", ".oga", ".ogg", ".opus", ".wav", ".webm", ".wma", ".wv"}
)


def expanded(sources: Iterable[str]) -> list[str]:
    """Files and links unchanged, folders replaced by the audio files in them. Raises ConfigurationError, OSError."""
    found: list[str] = []
    for source in sources:
        path = Path(source)
        if is_link(source):
            found.append(source)
        elif path.is_dir():
            inside = sorted(item for item in path.rglob("*") if item.suffix.lower() in AUDIO and item.is_file())
            if not inside:
                raise ConfigurationError(f"there is no audio in {source}")
            found += map(str, inside)
        else:
            with path.open("rb"):  # fail now if it cannot be read, not after other files were uploaded
                found.append(source)
    return found


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


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
