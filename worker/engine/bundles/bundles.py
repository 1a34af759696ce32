"""Model bundles: matching models for recognition, VAD, punctuation and speakers, and where they are stored.

A bundle on disk is a directory with the folders `asr`, `vad`, `punc` and, if it can tell speakers apart, `spk`, each in
the layout that FunASR's hubs use.
Each bundle has a definition, a TOML file (`worker.engine.bundles.definitions`). Nothing here accesses the network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.errors import ModelUnavailable
from common.options.model_cards import ModelCard
from worker.engine.bundles.definitions import (
    ALL_PARTS,
    PARTS,
    SHIPPED,
    SPEAKERS,
    BundleSpec,
    FileSpec,
    bundle_spec,
    known_bundles,
)

_REQUIRED_FILES = {
    "asr": ("config.yaml", "model.pt", "am.mvn", "tokens.json"),
    "vad": ("config.yaml", "model.pt", "am.mvn"),
    "punc": ("config.yaml", "model.pt", "tokens.json"),
    "spk": ("config.yaml", "model.pt"),
}

RENAMED = (SPEAKERS,)
"""Parts whose hubs give the checkpoint another name than `model.pt`: a definition lists all of their files, and their
`configuration.json` says which is which."""

WORDS_FILE = "jieba_usr_dict"
"""The dictionary of a punctuation model that counts words."""

BPE_FILE = "bpe.model"
"""A SentencePiece model, which some recognisers have instead of `tokens.json`; its real name ends like this."""

PIECES_FILE = "seg_dict"
"""How the training data of a recogniser wrote each word in tokens; used for hotwords, and may be missing."""

REVISION_STAMP = ".revision"
MANIFEST = ".files.json"
"""Written by a download: the size and sha256 of each file that it put there."""


@dataclass(frozen=True)
class BundlePaths:
    """A complete bundle on disk; `spk` is None if it has no speaker model.

    `revision` goes into transcripts and resume states; `card.speakers` follows from `spk`.
    """

    name: str
    asr: Path
    vad: Path
    punc: Path
    revision: str
    card: ModelCard = field(default_factory=ModelCard)
    spk: Path | None = None


def locate(spec: BundleSpec, models_dir: Path | str) -> BundlePaths:
    """Locate a bundle in `models_dir/NAME` (demo-zh also in the project's own folder) and check that it is complete.

    Raises ModelUnavailable, which names every file that is missing or has the wrong size.
    """
    directory = Path(models_dir) / spec.name
    if not directory.exists() and (SHIPPED / spec.name).exists():
        directory = SHIPPED / spec.name
    return from_directory(directory, spec.name, spec)


def from_directory(directory: Path | str, name: str | None = None, spec: BundleSpec | None = None) -> BundlePaths:
    """A bundle in a directory with the folders asr, vad, punc and perhaps spk; `name` defaults to the directory's."""
    directory = Path(directory)
    name = name or directory.resolve().name
    spec = spec or known_bundles(None).get(name)
    parts = parts_in(directory)
    problems = [problem for part in parts for problem in file_problems(directory, part, spec)]
    if problems:
        raise ModelUnavailable(f"The model bundle {name} is incomplete in {directory}: {'; '.join(problems)}.")
    folders = {part: directory / part for part in PARTS}
    speakers = directory / SPEAKERS if SPEAKERS in parts else None
    card = replace(spec.card if spec else ModelCard(), speakers=speakers is not None)
    return BundlePaths(name, **folders, revision=_revision(directory, parts), card=card, spk=speakers)


def parts_in(directory: Path) -> tuple[str, ...]:
    """The parts that must be complete in a directory: all but the speaker model, and that one if its folder exists."""
    return ALL_PARTS if (directory / SPEAKERS).is_dir() else PARTS


def file_problems(directory: Path, part: str, spec: BundleSpec | None) -> list[str]:
    """The problems that make a part of a bundle unusable, one phrase per file; empty if there are none.

    Sizes are compared with those that the download recorded or, for files installed by hand, with the definition.
    """
    folder = directory / part
    paths = part_files(folder)
    named = {path.name: name for name, path in paths.items()}
    wanted = dict.fromkeys(required_files(part, [*paths, *(spec.files(part) if spec else ())]), FileSpec())
    # Under their usual names, also where `configuration.json` has others.
    for specs in (spec.files(part) if spec else {}, downloaded_files(folder)):
        wanted |= {named.get(name, name): known for name, known in specs.items()}
    problems = []
    for name, expected in wanted.items():
        path = paths.get(name, folder / name)
        if not path.is_file():
            problems.append(f"{part}/{path.name} is missing")
        elif expected.size is not None and path.stat().st_size != expected.size:
            problems.append(f"{part}/{path.name} has {path.stat().st_size} bytes instead of {expected.size}")
    return problems


def downloaded_files(folder: Path) -> dict[str, FileSpec]:
    """The file records written by the download of a folder; empty for files installed by hand."""
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
    """Instructions for installing the files of a bundle without a network, in a sentence or two."""
    wanted = []
    for part in (*PARTS, SPEAKERS) if SPEAKERS in spec.sources else PARTS:
        files = dict.fromkeys(() if part in RENAMED else required_files(part, spec.files(part))) | dict.fromkeys(
            spec.files(part)
        )
        origin = spec.sources.get(part, ())[:1]
        place = f" (from {origin[0].repository}, {origin[0].revision})" if origin else ""
        wanted.append(f"{directory / part}: {', '.join(files)}{place}")
    return f"To install it by hand, put these files in place and start again: {'; '.join(wanted)}."


def required_files(part: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """What the folder of a part must hold, whatever the model; a definition may name more.

    If there is a SentencePiece model among the files that are `known`, it is the recogniser's vocabulary. A
    `configuration.json` is read if it is there.
    """
    files = _REQUIRED_FILES[part]
    pieces = [name for name in known if name.endswith(BPE_FILE)][:1]
    return (*files[:-1], *pieces) if part == "asr" and pieces else files


def part_files(folder: Path) -> dict[str, Path]:
    """The files of a model folder by their usual names; `configuration.json` may name them differently."""
    files = {name: folder / name for name in ("config.yaml", "model.pt", "am.mvn", "tokens.json")}
    for path in sorted(folder.glob(f"*{BPE_FILE}"))[:1]:
        files[BPE_FILE] = path
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
        BPE_FILE: metas.get("tokenizer_conf", {}).get("bpemodel"),
    }
    return files | {usual: folder / name for usual, name in named.items() if name}


def _revision(directory: Path, parts: tuple[str, ...]) -> str:
    """The pinned revision of downloaded files, or a short content hash of files installed by hand."""
    stamps = [directory / part / REVISION_STAMP for part in parts]
    if all(stamp.is_file() for stamp in stamps):
        pinned = {stamp.read_text(encoding="utf-8").strip() for stamp in stamps}
        return "+".join(sorted(pinned))
    return _content_hash(directory, parts)


def _content_hash(directory: Path, parts: tuple[str, ...]) -> str:
    """12 hexadecimal digits of a hash over the names and contents of all model files."""
    digest = hashlib.blake2b(digest_size=6)
    for part in parts:
        paths = part_files(directory / part) | {WORDS_FILE: directory / part / WORDS_FILE}
        extra = [WORDS_FILE] if paths[WORDS_FILE].is_file() else []
        for name in [*required_files(part, paths), *extra]:
            digest.update(f"{part}/{name}:{paths[name].stat().st_size}\n".encode())
            for block in _blocks(paths[name]):
                digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block


__all__ = [
    "ALL_PARTS",
    "BPE_FILE",
    "MANIFEST",
    "PARTS",
    "PIECES_FILE",
    "RENAMED",
    "REVISION_STAMP",
    "SPEAKERS",
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
    "parts_in",
    "required_files",
]
