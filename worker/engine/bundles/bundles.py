"""Model bundles: recognition, VAD and punctuation that belong together; what they are and where they lie.

A bundle on disk is a directory with the folders `asr`, `vad` and `punc`, each in the layout that FunASR's
hubs use. Each has a definition, a TOML file (`worker.engine.bundles.definitions`). Nothing here touches
the network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import ModelUnavailable
from common.model_cards import ModelCard
from worker.engine.bundles.definitions import PARTS, SHIPPED, BundleSpec, FileSpec, bundle_spec, known_bundles

REQUIRED_FILES = {
    "asr": ("config.yaml", "model.pt", "am.mvn", "tokens.json"),
    "vad": ("config.yaml", "model.pt", "am.mvn"),
    "punc": ("config.yaml", "model.pt", "tokens.json"),
}
"""What each folder must hold, whatever the model; a definition may name more. A `configuration.json` is read if it is
there."""

WORDS_FILE = "jieba_usr_dict"
"""The dictionary of a punctuation model that counts words."""

REVISION_STAMP = ".revision"
MANIFEST = ".files.json"
"""Written by a download: the size and sha256 of each file that it put there."""


@dataclass(frozen=True)
class BundlePaths:
    """A complete bundle on disk. `revision` goes into transcripts and resume states."""

    name: str
    asr: Path
    vad: Path
    punc: Path
    revision: str
    card: ModelCard = field(default_factory=ModelCard)


def locate(spec: BundleSpec, models_dir: Path | str) -> BundlePaths:
    """The files of a bundle in `models_dir/NAME` (demo-zh also where the project keeps it), checked to be complete.

    Raises ModelUnavailable that names every file that is missing or has another size than it should.
    """
    directory = Path(models_dir) / spec.name
    if not directory.exists() and (SHIPPED / spec.name).exists():
        directory = SHIPPED / spec.name
    return from_directory(directory, spec.name, spec)


def from_directory(directory: Path | str, name: str | None = None, spec: BundleSpec | None = None) -> BundlePaths:
    """A bundle in a directory with the folders asr, vad and punc; `name` is the directory's own if not given."""
    directory = Path(directory)
    name = name or directory.resolve().name
    spec = spec or known_bundles(None).get(name)
    problems = [problem for part in PARTS for problem in file_problems(directory, part, spec)]
    if problems:
        raise ModelUnavailable(f"The model bundle {name} is incomplete in {directory}: {'; '.join(problems)}.")
    folders = {part: directory / part for part in PARTS}
    card = spec.card if spec else ModelCard()
    return BundlePaths(name, **folders, revision=_revision(directory), card=card)


def file_problems(directory: Path, part: str, spec: BundleSpec | None) -> list[str]:
    """What keeps a part of a bundle from being used, a phrase for each file; empty: nothing.

    Sizes are those that the download wrote down, or for files put there by hand those of the definition.
    """
    folder = directory / part
    wanted = dict.fromkeys(REQUIRED_FILES[part], FileSpec())
    wanted |= spec.files(part) if spec else {}
    wanted |= downloaded_files(folder)
    paths = part_files(folder)
    problems = []
    for name, expected in wanted.items():
        path = paths.get(name, folder / name)
        if not path.is_file():
            problems.append(f"{part}/{path.name} is missing")
        elif expected.size is not None and path.stat().st_size != expected.size:
            problems.append(f"{part}/{path.name} has {path.stat().st_size} bytes instead of {expected.size}")
    return problems


def downloaded_files(folder: Path) -> dict[str, FileSpec]:
    """What the download of a folder wrote down about its files; empty for files put there by hand."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    try:
        listed = json.loads(manifest.read_text(encoding="utf-8"))
        return {name: FileSpec(int(entry["size"]), str(entry["sha256"])) for name, entry in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(
            f"{manifest} cannot be read ({error}); delete it to have the files checked anew."
        ) from error


def by_hand(spec: BundleSpec, directory: Path) -> str:
    """How to put the files of a bundle in place without a network, in a sentence or two."""
    wanted = []
    for part in PARTS:
        files = dict.fromkeys(REQUIRED_FILES[part]) | dict.fromkeys(spec.files(part))
        origin = spec.sources.get(part, ())[:1]
        place = f" (from {origin[0].repository}, {origin[0].revision})" if origin else ""
        wanted.append(f"{directory / part}: {', '.join(files)}{place}")
    return f"To install it by hand, put these files in place and start again: {'; '.join(wanted)}."


def part_files(folder: Path) -> dict[str, Path]:
    """The files of a model folder by their usual names; `configuration.json` may call them otherwise."""
    files = {name: folder / name for name in ("config.yaml", "model.pt", "am.mvn", "tokens.json")}
    described = folder / "configuration.json"
    if not described.is_file():
        return files
    try:
        metas = json.loads(described.read_text(encoding="utf-8")).get("file_path_metas", {})
    except ValueError as error:
        raise ModelUnavailable(f"{described} is not JSON: {error}") from error
    named = {
        "config.yaml": metas.get("config"),
        "model.pt": metas.get("init_param"),
        "am.mvn": metas.get("frontend_conf", {}).get("cmvn_file"),
        "tokens.json": metas.get("tokenizer_conf", {}).get("token_list"),
    }
    return files | {usual: folder / name for usual, name in named.items() if name}


def _revision(directory: Path) -> str:
    """What a hub's files were pinned to, or a short hash of the content of files put there by hand."""
    stamps = [directory / part / REVISION_STAMP for part in PARTS]
    if all(stamp.is_file() for stamp in stamps):
        pinned = {stamp.read_text(encoding="utf-8").strip() for stamp in stamps}
        return "+".join(sorted(pinned))
    return _content_hash(directory)


def _content_hash(directory: Path) -> str:
    """12 hexadecimal digits over the names and bytes of all files that the models are made of."""
    digest = hashlib.blake2b(digest_size=6)
    for part in PARTS:
        paths = part_files(directory / part) | {WORDS_FILE: directory / part / WORDS_FILE}
        extra = [WORDS_FILE] if paths[WORDS_FILE].is_file() else []
        for name in [*REQUIRED_FILES[part], *extra]:
            digest.update(f"{part}/{name}:{paths[name].stat().st_size}\n".encode())
            for block in _blocks(paths[name]):
                digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


__all__ = [
    "MANIFEST",
    "PARTS",
    "REQUIRED_FILES",
    "REVISION_STAMP",
    "WORDS_FILE",
    "BundlePaths",
    "BundleSpec",
    "bundle_spec",
    "by_hand",
    "downloaded_files",
    "file_problems",
    "from_directory",
    "locate",
    "part_files",
]
