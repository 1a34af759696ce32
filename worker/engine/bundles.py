"""Model bundles: recognition, VAD and punctuation that belong together; where they are, and how to get them.

A bundle on disk is a directory with the folders `asr`, `vad` and `punc`, each in the layout that FunASR's
hubs use. Nothing here touches the network except `download`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigurationError, ModelUnavailable

PARTS = ("asr", "vad", "punc")
REQUIRED_FILES = {
    "asr": ("config.yaml", "model.pt", "am.mvn", "tokens.json"),
    "vad": ("config.yaml", "model.pt", "am.mvn"),
    "punc": ("config.yaml", "model.pt", "tokens.json"),
}
"""What each folder must hold; `configuration.json` and `seg_dict` are kept if they are there, but not
needed."""

_BUNDLED = Path(__file__).resolve().parents[2] / "models"
_STAMP = ".revision"
_HUBS = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}
_SKIPPED = ("*.onnx", "*.wav", "*.mp3", "*.png", "*.jpg", "*.mp4", "example/*", "fig/*")


@dataclass(frozen=True)
class HubRepository:
    """A repository on a hub and the revision this project was written for."""

    repository: str
    revision: str


@dataclass(frozen=True)
class BundleSpec:
    """What a bundle is made of. `modelscope` and `huggingface` map asr, vad and punc to repositories."""

    name: str
    description: str
    modelscope: dict[str, HubRepository]
    huggingface: dict[str, HubRepository]


@dataclass(frozen=True)
class BundlePaths:
    """A complete bundle on disk. `revision` goes into transcripts and resume states."""

    name: str
    asr: Path
    vad: Path
    punc: Path
    revision: str


BUNDLES: dict[str, BundleSpec] = {
    spec.name: spec
    for spec in (
        BundleSpec(
            "paraformer-large-zh",
            "Paraformer-large for Mandarin with English words in it, 225 M parameters, with word times; "
            "FSMN-VAD; character-level CT-Transformer punctuation.",
            {
                "asr": HubRepository(
                    "iic/speech_paraformer-large-vad-punc_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
                    "v2.0.4",
                ),
                "vad": HubRepository("iic/speech_fsmn_vad_zh-cn-16k-common-pytorch", "v2.0.4"),
                "punc": HubRepository("iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch", "v2.0.4"),
            },
            # Of these FunASR's own organisation on Hugging Face has the VAD alone: its funasr/ct-punc is the
            # word-level model, which needs jieba, and funasr/paraformer-zh has, by the card of a conversion of it,
            # a CifPredictorV2, which gives no word times.
            {"vad": HubRepository("funasr/fsmn-vad", "main")},
        ),
        BundleSpec(
            "demo-zh",
            "A small model that comes with the project, trained on synthetic speech: for trials and tests.",
            {},
            {},
        ),
    )
}


def bundle_spec(name: str) -> BundleSpec:
    """The bundle of that name; raises ModelUnavailable for an unknown one."""
    if name not in BUNDLES:
        raise ModelUnavailable(f"There is no model bundle {name!r}; known are {', '.join(BUNDLES)}.")
    return BUNDLES[name]


def locate(spec: BundleSpec, source: str, models_dir: Path | str) -> BundlePaths:
    """The files of a bundle, checked to be complete.

    `source` is `modelscope`, `huggingface` or `local`: the bundle is in `models_dir/NAME` then (demo-zh also
    where the project keeps it); or it is a directory with the folders asr, vad and punc. Raises
    ModelUnavailable that names every missing file.
    """
    directory = Path(source)
    if source in (*_HUBS, "local"):
        directory = Path(models_dir) / spec.name
        if not directory.exists() and (_BUNDLED / spec.name).exists():
            directory = _BUNDLED / spec.name
    return from_directory(directory, spec.name)


def from_directory(directory: Path | str, name: str | None = None) -> BundlePaths:
    """A bundle in a directory with the folders asr, vad and punc; `name` is the directory's own if not
    given."""
    directory = Path(directory)
    missing = _missing_files(directory)
    if missing:
        raise ModelUnavailable(
            f"The model bundle {name or directory.name} is incomplete in {directory}; missing: {', '.join(missing)}."
        )
    folders = {part: directory / part for part in PARTS}
    return BundlePaths(name or directory.resolve().name, **folders, revision=_revision(directory))


def download(
    spec: BundleSpec,
    source: str,
    models_dir: Path | str,
    progress: Callable[[str], None] = lambda _: None,
    mirrors: str = "",
) -> BundlePaths:
    """Get a bundle from a hub into `models_dir/NAME`, at the pinned revisions; what is complete there stays.

    `mirrors` names other repositories than the pinned ones: `asr=ORG/NAME@REVISION,vad=…,punc=…`.

    `progress` is given a line per step; the hub's client draws its own bars on stderr. Raises
    ModelUnavailable with the way to put the files in place by hand.
    """
    directory = Path(models_dir) / spec.name
    pinned: dict[str, HubRepository] = getattr(spec, source, {}) if source in _HUBS else {}
    repositories = pinned | _mirrors(mirrors)
    wanting = [part for part in PARTS if _missing_files(directory, [part])]
    without = [part for part in wanting if part not in repositories]
    if without:
        raise ModelUnavailable(
            f"{_HUBS.get(source, repr(source))} has no {' and no '.join(without)} model for {spec.name}. "
            + by_hand(spec, directory)
        )
    for part in wanting:
        wanted = repositories[part]
        progress(f"{spec.name}: {part} from {_HUBS[source]}, {wanted.repository} at {wanted.revision}")
        try:
            _fetch(source, wanted, directory / part)
        except Exception as error:  # the hubs' clients raise dozens of kinds
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise ModelUnavailable(
                f"Could not download {wanted.repository} ({wanted.revision}) from {_HUBS[source]}: {reason}. "
                + by_hand(spec, directory)
            ) from error
        (directory / part / _STAMP).write_text(wanted.revision + "\n", encoding="utf-8")
    return from_directory(directory, spec.name)


def _mirrors(text: str) -> dict[str, HubRepository]:
    """`asr=ORG/NAME@REVISION,…` as repositories; raises ConfigurationError for anything else."""
    found = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        part, _, place = item.partition("=")
        repository, _, revision = place.partition("@")
        if part not in PARTS or not repository or not revision:
            raise ConfigurationError(f"PARAQUEUE_MODEL_REPOSITORIES: {item!r} is not PART=ORG/NAME@REVISION")
        found[part] = HubRepository(repository, revision)
    return found


def by_hand(spec: BundleSpec, directory: Path) -> str:
    """How to put the files of a bundle in place without a network, in a sentence or two."""
    wanted = "; ".join(
        f"{directory / part}: {', '.join(REQUIRED_FILES[part])}"
        + (f" (from {spec.modelscope[part].repository}, {spec.modelscope[part].revision})" if spec.modelscope else "")
        for part in PARTS
    )
    return f"To install it by hand, put these files in place and start again: {wanted}."


def _fetch(source: str, wanted: HubRepository, directory: Path) -> None:
    """One repository into `directory`; files that are already there and whole are not fetched again."""
    if source == "modelscope":
        from modelscope.hub.snapshot_download import (
            snapshot_download as from_modelscope,
        )

        from_modelscope(
            wanted.repository,
            revision=wanted.revision,
            local_dir=str(directory),
            ignore_patterns=list(_SKIPPED),
        )
        return
    from huggingface_hub import snapshot_download

    snapshot_download(
        wanted.repository, revision=wanted.revision, local_dir=str(directory), ignore_patterns=list(_SKIPPED)
    )


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


def _missing_files(directory: Path, parts: Sequence[str] = PARTS) -> list[str]:
    return [
        f"{part}/{path.name}"
        for part in parts
        for name, path in part_files(directory / part).items()
        if name in REQUIRED_FILES[part] and not path.is_file()
    ]


def _revision(directory: Path) -> str:
    """What a hub's files were pinned to, or a short hash of the content of files put there by hand."""
    stamps = [directory / part / _STAMP for part in PARTS]
    if all(stamp.is_file() for stamp in stamps):
        pinned = {stamp.read_text(encoding="utf-8").strip() for stamp in stamps}
        return "+".join(sorted(pinned))
    return _content_hash(directory)


def _content_hash(directory: Path) -> str:
    """12 hexadecimal digits over the names and bytes of all files that the models are made of."""
    digest = hashlib.blake2b(digest_size=6)
    for part in PARTS:
        paths = part_files(directory / part)
        for name in REQUIRED_FILES[part]:
            digest.update(f"{part}/{name}:{paths[name].stat().st_size}\n".encode())
            for block in _blocks(paths[name]):
                digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block
