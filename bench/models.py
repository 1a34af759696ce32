"""Makes bundles of production size on the spot: FunASR's classes with random weights from a fixed seed.

Speed does not depend on the values of the weights, only on their number and on the number of output tokens. So the
predictor's bias is adjusted until it emits about 4.5 tokens per second of speech, and that of the punctuation until
every eighth word has a mark, as in Mandarin. The VAD is that of models/demo-zh, which detects real pauses.
`bench.bundle_models` makes the other bundles from the same parts.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from bench.audio import SAMPLE_RATE, spoken_sentences
from bench.report import REPOSITORY
from training.bundle import write_model
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import MANIFEST, PARTS
from worker.engine.features import AsrFrontend, load_cmvn

NAME = "paraformer-large-zh"
"""The bundle takes the name of the production model, so that the whole service can be told to run it."""
SEED = 8404
VOCABULARY = 8404
LATIN_TOKENS = 420
PUNCTUATION_VOCABULARY = 272_727
TOKENS_PER_SECOND = 4.5
MARKS_PER_WORD = 1 / 8
DEMO = REPOSITORY / "models" / "demo-zh"
_VERSION = 3
_MARKS = ["<unk>", "_", "，", "。", "？", "、"]
_SANM: dict[str, Any] = {
    "input_layer": "pe",
    "pos_enc_class": "SinusoidalPositionEncoder",
    "normalize_before": True,
    "kernel_size": 11,
    "sanm_shfit": 0,
    "selfattention_layer_type": "sanm",
}


def full_size_bundle(directory: Path) -> Path:
    """The path of the full-size bundle below `directory`; it is created there (a minute, 520 MB) if missing."""

    def write(bundle: Path) -> None:
        write_recogniser(bundle / "asr", recogniser_config(), recognition_tokens())
        write_punctuation(bundle / "punc", punctuation_config(), punctuation_tokens(recognition_tokens()))

    return made_bundle(directory / NAME, {"version": _VERSION, "seed": SEED}, write)


def made_bundle(bundle: Path, wanted: Mapping[str, Any], write: Callable[[Path], None]) -> Path:
    """The path of a bundle whose `asr` and `punc` are written by `write`, unless it was made as `wanted` before."""
    stamp = bundle / "made.json"
    if stamp.exists() and json.loads(stamp.read_text("utf-8")) == wanted:
        return bundle
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(parents=True)
    shutil.copytree(DEMO / "vad", bundle / "vad")
    torch.manual_seed(SEED)
    with loading._quiet():
        write(bundle)
    for part in PARTS:
        _write_manifest(bundle / part)
    stamp.write_text(json.dumps(wanted) + "\n", "utf-8")
    return bundle


def _write_manifest(folder: Path) -> None:
    """Record the files as a download does: their sizes differ from those of the production model of this name."""
    files = [path for path in sorted(folder.iterdir()) if path.name != MANIFEST]
    listed = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in files
    }
    (folder / MANIFEST).write_text(json.dumps(listed, indent=1) + "\n", "utf-8")


def recogniser_config() -> dict[str, Any]:
    """The configuration of `paraformer-large-zh`'s recogniser."""
    config: dict[str, Any] = yaml.safe_load((DEMO / "asr" / "config.yaml").read_text("utf-8"))
    dropout = dict.fromkeys(("dropout_rate", "positional_dropout_rate"), 0.1)
    width = {"attention_heads": 4, "linear_units": 2048, **dropout}
    config["encoder_conf"] |= {"output_size": 512, "num_blocks": 50, **width}
    config["decoder_conf"] |= {"num_blocks": 16, "att_layer_num": 16, **width}
    config["predictor_conf"] |= {"idim": 512, "smooth_factor2": 0.25, "noise_threshold2": 0.01}
    return config


def write_recogniser(folder: Path, config: dict[str, Any], tokens: list[str]) -> None:
    """Write a Paraformer of any class that emits tokens at the usual rate."""
    module = module_of(config, len(tokens))
    with torch.no_grad():
        module.predictor.cif_output.weight.mul_(3)
        if hasattr(module.predictor, "cif_output2"):
            module.predictor.cif_output2.weight.mul_(20)
    mvn = load_cmvn(DEMO / "asr" / "am.mvn")
    _set_token_rate(module, AsrFrontend(mvn))
    write_model(
        folder,
        config,
        module.state_dict(),
        "auto-speech-recognition",
        tokens=tokens,
        mvn=(mvn.shift.numpy(), mvn.scale.numpy()),
    )


def _set_token_rate(module: Any, frontend: AsrFrontend) -> None:
    """Adjust the bias of the CIF weights until the token rate is right on sentences of the sample."""
    pieces = [sentence.astype(np.int16) for sentence in spoken_sentences()[::4]]
    predictor = module.predictor
    with torch.inference_mode():
        features, lengths = frontend(pieces)
        encoded, _ = module.encode(features, lengths)
        hidden = torch.relu(predictor.cif_conv1d(predictor.pad(encoded.transpose(1, 2))))
        logits = predictor.cif_output(hidden.transpose(1, 2))[..., 0] - predictor.cif_output.bias
        inside = torch.arange(logits.shape[1]) < lengths[:, None]
        seconds = sum(map(len, pieces)) / SAMPLE_RATE
        bias = root(lambda value: float((torch.sigmoid(logits + value) * inside).sum()) / seconds - TOKENS_PER_SECOND)
        predictor.cif_output.bias.fill_(bias)


def punctuation_config() -> dict[str, Any]:
    """The configuration of `paraformer-large-zh`'s punctuation."""
    return sized_punctuation(width=256, heads=8, linear_units=1024, blocks=4)


def sized_punctuation(width: int, heads: int, linear_units: int, blocks: int) -> dict[str, Any]:
    """The configuration of a CT-Transformer in this size."""
    config: dict[str, Any] = yaml.safe_load((DEMO / "punc" / "config.yaml").read_text("utf-8"))
    config["model_conf"] |= {"embed_unit": width, "att_unit": width, "punc_list": _MARKS, "sentence_end_id": 3}
    sizes = {"attention_heads": heads, "linear_units": linear_units, "num_blocks": blocks}
    config["encoder_conf"] |= {**_SANM, "input_size": width, "output_size": width, **sizes}
    return config


def write_punctuation(folder: Path, config: dict[str, Any], tokens: list[str]) -> None:
    """Write a CT-Transformer that sets marks at the usual rate."""
    module = module_of(config, len(tokens))
    words = torch.from_numpy(np.random.default_rng(SEED).integers(1, VOCABULARY, (64, 20)))
    with torch.inference_mode():
        module.decoder.weight.mul_(3)
        scores = module.punc_forward(words, torch.full((64,), 20))[0]
        scores[..., 0] = -1e9  # <unk> is not a mark
        module.decoder.bias[0] -= 1e3

        def marked(bias: float) -> float:
            moved = scores.clone()
            moved[..., 1] -= bias
            return float((moved.argmax(-1) != 1).float().mean()) - MARKS_PER_WORD

        module.decoder.bias[1] -= root(marked)
    write_model(folder, config, module.state_dict(), "punctuation", tokens=tokens)


def module_of(config: dict[str, Any], vocabulary: int) -> Any:
    """FunASR's module of a configuration, with random weights."""
    module = loading._build(loading._funasr_tables(), config, vocabulary, torch.device("cpu"))
    return module.eval()


def root(rising: Callable[[float], float]) -> float:
    """The zero of an increasing function between -30 and 30."""
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def recognition_tokens() -> list[str]:
    """A vocabulary of 8404 tokens: mostly characters, some Latin words and pieces."""
    latin = [f"{first}{second}a" + "@@" * (index % 2) for index, (first, second) in enumerate(_pairs())][:LATIN_TOKENS]
    characters = [chr(0x4E00 + index) for index in range(VOCABULARY - len(latin) - 4)]
    return ["<blank>", "<s>", "</s>", *characters, *latin, "<unk>"]


def punctuation_tokens(recognised: list[str], count: int = PUNCTUATION_VOCABULARY) -> list[str]:
    """A vocabulary of `count` words; the recognised ones are among the first."""
    words = list(dict.fromkeys(token.replace("@@", "") for token in recognised[3:-1]))
    others = [f"word{index}" for index in range(count - len(words) - 2)]
    return ["<blank>", *words, *others, "<unk>"]


def _pairs() -> list[tuple[str, str]]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [(first, second) for first in letters for second in letters]
