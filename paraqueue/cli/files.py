"""Which files a command means, and where its output goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paraqueue.errors import ConfigurationError
from paraqueue.operations import is_link

# What a folder is searched for; a file that is named is taken whatever it is called.
AUDIO = frozenset(
    {".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".caf", ".flac", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp2"}
    | {".mp3", ".mp4", ".mpga", ".oga", ".ogg", ".opus", ".wav", ".webm", ".wma", ".wv"}
)


def expanded(sources: Iterable[str]) -> list[str]:
    """Files and links as they are, folders as the audio files in them. Raises ConfigurationError, OSError."""
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
            with path.open("rb"):  # say now that it cannot be read, not after others were uploaded
                found.append(source)
    return found


def output_paths(sources: list[str], directory: Path, form: str) -> list[Path]:
    """A path per source, named like it; those that would share a name are numbered."""
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
    """A file that is either there as a whole or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
