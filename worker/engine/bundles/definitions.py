"""Definitions of model bundles: TOML files, shipped with the project or added by an operator.

name = "my-model"
description = "…"
licence = "Apache-2.0"
languages = ["zh", "en"]
word_times = true
segmentation = "fixed"                   # of jobs that name none: see common.options.segmentation

[[asr]]                                  # a source of a part; several are tried in order
hub = "modelscope"                       # or "huggingface"
repository = "ORG/NAME"
revision = "v2.0.4"
[asr.files]
"model.pt" = { size = 1, sha256 = "…" }  # {}: checked against what the hub publishes
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from common.errors import ConfigurationError, ModelUnavailable
from common.options.model_cards import ModelCard
from common.options.segmentation import FIXED, segmentation_name

PARTS = ("asr", "vad", "punc")
"""The parts that every bundle has."""
SPEAKERS = "spk"
"""The part that tells speakers apart; a bundle may lack it."""
ALL_PARTS = (*PARTS, SPEAKERS)
HUBS = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}

SHIPPED = Path(__file__).resolve().parents[3] / "models"
"""Where the project keeps its definitions, and demo-zh."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CARD = {
    "description": str,
    "licence": str,
    "word_times": bool,
    "speakers": bool,
    "hotwords": bool,
    "segmentation": str,
}


@dataclass(frozen=True, slots=True)
class FileSpec:
    """What is known about a file before its download."""

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Source:
    """A repository on a hub at a revision, with the files that are taken from it."""

    hub: str
    repository: str
    revision: str
    files: dict[str, FileSpec] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{HUBS[self.hub]}, {self.repository} at {self.revision}"


@dataclass(frozen=True)
class BundleSpec:
    """The parts of a bundle, each with its sources in order of preference; no sources: installed by hand."""

    name: str
    card: ModelCard
    sources: dict[str, tuple[Source, ...]]

    def files(self, part: str) -> dict[str, FileSpec]:
        """The files that every source of a part has, with sizes and hashes only where all sources agree."""
        sources = self.sources.get(part, ())
        specs: dict[str, FileSpec] = {}
        for name in sources[0].files if sources else ():
            if any(name not in source.files for source in sources):
                continue
            candidates = {source.files[name] for source in sources}
            specs[name] = candidates.pop() if len(candidates) == 1 else FileSpec()
        return specs


def bundle_spec(name: str, models_dir: Path | str | None = None) -> BundleSpec:
    """The definition of the bundle `name`; raises ModelUnavailable for an unknown one."""
    bundles = known_bundles(models_dir)
    if name not in bundles:
        raise ModelUnavailable(
            f"There is no model bundle {name!r}; known are {', '.join(sorted(bundles))}. "
            "docs/models.md tells how to define another one."
        )
    return bundles[name]


def known_bundles(models_dir: Path | str | None) -> dict[str, BundleSpec]:
    """Every definition by name: the built-in ones and those in `models_dir`, which take precedence.

    Raises ConfigurationError for a file that is not a valid definition.
    """
    directories = [SHIPPED] if models_dir is None else [SHIPPED, Path(models_dir)]
    specs = [_read(path) for directory in directories for path in sorted(directory.glob("*.toml"))]
    return {spec.name: spec for spec in specs}


def _read(path: Path) -> BundleSpec:
    try:
        return _parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigurationError(f"{path} is not the definition of a model bundle: {reason}") from error


def _parse(table: dict[str, Any]) -> BundleSpec:
    unknown = table.keys() - {"name", "languages", *_CARD, *ALL_PARTS}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]!r} is not known")
    if not _NAME.fullmatch(table["name"]):
        raise ValueError(f"{table['name']!r} is not a name: letters, digits, `.`, `_`, `-`")
    for name, kind in _CARD.items():
        if name in table and not isinstance(table[name], kind):
            raise ValueError(f"{name} must be of type {kind.__name__}")
    segmentation_name(table.get("segmentation", FIXED))
    languages = tuple(str(language).lower() for language in table.get("languages", []))
    card = ModelCard(languages=languages, **{name: table[name] for name in _CARD if name in table})
    sources = {part: tuple(_source(entry) for entry in table[part]) for part in ALL_PARTS if part in table}
    return BundleSpec(table["name"], card, sources)


def _source(entry: dict[str, Any]) -> Source:
    if entry["hub"] not in HUBS:
        raise ValueError(f"the hub {entry['hub']!r} is not one of {', '.join(HUBS)}")
    if entry["hub"] == "huggingface" and not _COMMIT.fullmatch(entry["revision"]):
        raise ValueError(f"{entry['repository']}: a revision on Hugging Face must be a commit of 40 digits")
    files = {name: _file(name, described) for name, described in entry["files"].items()}
    return Source(entry["hub"], str(entry["repository"]), str(entry["revision"]), files)


def _file(name: str, described: dict[str, Any]) -> FileSpec:
    place = PurePosixPath(name)
    if len(place.parts) != 1 or name.startswith("."):
        raise ValueError(f"{name!r} is not the name of a file")
    size, sha256 = described.get("size"), described.get("sha256")
    if size is not None and (not isinstance(size, int) or size < 0):
        raise ValueError(f"{name}: the size {size!r} is not a number of bytes")
    if sha256 is not None and not _SHA256.fullmatch(str(sha256)):
        raise ValueError(f"{name}: {sha256!r} is not a sha256 of 64 hexadecimal digits")
    return FileSpec(size, sha256)
