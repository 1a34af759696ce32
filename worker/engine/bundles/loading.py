"""Loads FunASR's modules from a bundle's files without AutoModel: no network, no printing, no thread settings.

Production checkpoints load unchanged. The frontends are our own, with dither 0 regardless of the configuration.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from common.errors import ConfigurationError, ModelUnavailable
from worker.engine.bundles.bundles import BPE_FILE, WORDS_FILE, BundlePaths, part_files
from worker.engine.bundles.sentence_pieces import read_pieces

PRECISIONS = {"fp32": ("cpu", "cuda"), "int8": ("cpu",), "bf16": ("cuda",), "fp16": ("cuda",)}
"""Arithmetic of the recognition network → the kinds of devices that have it. VAD is always fp32, punctuation is int8
if recognition is, else fp32."""

SEACO = "SeacoParaformer"
"""A BiCifParaformer with networks for hotwords: `bias_encoder`, `seaco_decoder`, `hotword_output_layer`."""

PLAIN = "Paraformer"
"""A BiCifParaformer without upsampled weights for the times of words: `paraformer-en`."""

SENSEVOICE = "SenseVoiceSmall"

RECOGNISERS = ("BiCifParaformer", PLAIN, SEACO, SENSEVOICE)
"""Model classes of recognisers."""

WORD_VOCABULARIES = {471_067}
"""Vocabulary sizes of punctuation models that count words: FunASR's `ct-punc`."""

_USED = ("encoder.", "predictor.", "decoder.", "embed.", "head.", "xvector.")
"""Where the weights are that recognition, VAD, punctuation and speakers use."""

_MODULES = (
    "funasr.models.bicif_paraformer.model",
    "funasr.models.bicif_paraformer.cif_predictor",
    "funasr.models.seaco_paraformer.model",
    "funasr.models.paraformer.cif_predictor",
    "funasr.models.paraformer.decoder",
    "funasr.models.paraformer.model",
    "funasr.models.sanm.encoder",
    "funasr.models.sense_voice.model",
    "funasr.models.fsmn_vad_streaming.model",
    "funasr.models.fsmn_vad_streaming.encoder",
    "funasr.models.ct_transformer.model",
    "funasr.models.campplus.model",
    # Not needed here, but an AutoModel in the same process (tests, benchmarks) finds its parts this way.
    "funasr.models.specaug.specaug",
    "funasr.frontends.wav_frontend",
    "funasr.tokenizer.char_tokenizer",
)


@dataclass(frozen=True)
class ModelPart:
    """One loaded network: FunASR's module in evaluation mode, its configuration and files.

    `tokens`: the vocabulary by id; see `read_pieces` for that of a SentencePiece model.
    """

    module: Any
    config: dict[str, Any]
    files: dict[str, Path]
    tokens: list[str]

    @property
    def counts_words(self) -> bool:
        """Whether this punctuation model reads words instead of characters, as its vocabulary shows."""
        return len(self.tokens) in WORD_VOCABULARIES


@dataclass(frozen=True)
class LoadedBundle:
    """The networks of a bundle on one device; `spk` is None if the bundle has no speaker model."""

    paths: BundlePaths
    device: torch.device
    precision: str
    asr: ModelPart
    vad: ModelPart
    punc: ModelPart
    spk: ModelPart | None = None


def load(paths: BundlePaths, device: torch.device | str, precision: str = "fp32") -> LoadedBundle:
    """Build the networks of a bundle and load its weights.

    Raises ModelUnavailable if a file is unreadable or the weights do not match the configuration, and
    ConfigurationError for a precision that is unknown or not supported by the device.
    """
    device = torch.device(device)
    _check_precision(precision, device)
    with _quiet():
        tables = _funasr_tables()
        parts = {
            name: _load_part(tables, getattr(paths, name), classes, device)
            for name, classes in (
                ("asr", RECOGNISERS),
                ("vad", ("FsmnVADStreaming",)),
                ("punc", ("CTTransformer",)),
                ("spk", ("CAMPPlus",)),
            )
            if getattr(paths, name) is not None
        }
    return LoadedBundle(paths, device, precision, **parts)


def _check_precision(precision: str, device: torch.device) -> None:
    if precision not in PRECISIONS:
        raise ConfigurationError(f"The precision {precision!r} is not one of {', '.join(PRECISIONS)}.")
    if device.type not in PRECISIONS[precision]:
        raise ConfigurationError(f"The precision {precision} is for {PRECISIONS[precision][0]}, not for {device.type}.")


def _load_part(tables: Any, folder: Path, classes: Sequence[str], device: torch.device) -> ModelPart:
    files = part_files(folder)
    config = _read_config(files["config.yaml"])
    if config.get("model") not in classes:
        raise ModelUnavailable(f"{folder} holds a {config.get('model')}, but a {' or '.join(classes)} is needed there.")
    tokens = _vocabulary(folder, files, config)
    module = _build(tables, config, len(tokens), device)
    _copy_weights(module, files["model.pt"])
    module.to(device).eval().requires_grad_(False)
    part = ModelPart(module, config, files | {WORDS_FILE: folder / WORDS_FILE}, tokens)
    if part.counts_words and not part.files[WORDS_FILE].is_file():
        raise ModelUnavailable(f"{folder} holds a punctuation model that counts words; it needs its {WORDS_FILE}.")
    return part


def _build(tables: Any, config: dict[str, Any], vocabulary: int, device: torch.device) -> Any:
    """Build the module that a configuration describes, with uninitialised weights."""
    settings = {name: value for name, value in config.items() if not name.startswith(("specaug", "model_conf"))}
    frontend = config.get("frontend_conf", {})
    input_size = frontend.get("n_mels", 80) * frontend.get("lfr_m", 1)
    settings |= config.get("model_conf", {})
    settings |= {"vocab_size": vocabulary, "input_size": input_size, "device": str(device)}
    try:
        module = tables.model_classes[config["model"]](**settings)
    except Exception as error:
        raise ModelUnavailable(
            f"FunASR could not build {config['model']} from its configuration: {type(error).__name__}: {error}"
        ) from error
    return module


def _copy_weights(module: Any, path: Path) -> None:
    """Copy the weights of a checkpoint (any float type) into the module.

    No weight that recognition uses may be missing or left over; weights used only in training are ignored.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelUnavailable(f"{path} is not a readable checkpoint: {error}") from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        state = state.get(wrapper, state)
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(name for name in state.keys() - own.keys() if name.startswith(_USED))
    shapes = sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
    if missing or unexpected or shapes:
        described = "; ".join(
            f"{len(names)} {what}, e.g. {names[0]}"
            for what, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("of another shape", shapes),
            )
            if names
        )
        raise ModelUnavailable(f"The weights in {path} do not fit its configuration: {described}.")
    module.load_state_dict({name: state[name].to(own[name].dtype) for name in own}, strict=True)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ModelUnavailable(f"Cannot read {path}: {error}") from error
    if not isinstance(config, dict):
        raise ModelUnavailable(f"{path} is not a model configuration.")
    return config


def _vocabulary(folder: Path, files: Mapping[str, Path], config: Mapping[str, Any]) -> list[str]:
    """The vocabulary that a configuration asks for; empty if the part has none."""
    if config.get("tokenizer") == "SentencepiecesTokenizer":
        pieces = files.get(BPE_FILE, folder / BPE_FILE)
        if not pieces.is_file():
            raise ModelUnavailable(
                f"{folder} holds a {config['model']}; it needs its SentencePiece model, {pieces.name}."
            )
        return read_pieces(pieces)
    return _read_tokens(files["tokens.json"]) if files["tokens.json"].is_file() else []


def _read_tokens(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
        tokens = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"Cannot read {path}: {error}") from error
    if not isinstance(tokens, list) or "<unk>" not in tokens:
        raise ModelUnavailable(f"{path} is not a list of tokens with <unk> in it.")
    return [str(token) for token in tokens]


def _funasr_tables() -> Any:
    """FunASR's registry with the classes we use in it.

    `import funasr` imports every model it has (8 s, hundreds of modules); we import ours only, in under 1 s.
    """
    if "funasr" not in sys.modules:
        walk = pkgutil.walk_packages
        pkgutil.walk_packages = lambda *_, **__: iter(())
        try:
            importlib.import_module("funasr")
        finally:
            pkgutil.walk_packages = walk
    for name in _MODULES:
        importlib.import_module(name)
    return importlib.import_module("funasr.register").tables


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the output that FunASR prints and logs during import and construction."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
