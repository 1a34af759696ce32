"""A bundle of the size that people run, made on the spot: FunASR's classes with random weights from a fixed seed.

Speed does not depend on what the weights are, only on how many there are, and on how many tokens come out. So the
predictor's bias is moved until about 4.5 tokens per second of speech come out, and that of the punctuation until
every eighth word has a mark, as in Mandarin. The VAD is that of models/demo-zh, which hears real pauses.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from bench.audio import SAMPLE_RATE, spoken_sentences
from bench.report import REPOSITORY
from training.bundle import write_model
from worker.engine.bundles import loading
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
_VERSION = 2
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
    """Where the full-size bundle lies below `directory`; made there (a minute, 520 MB) unless it is already."""
    bundle = directory / NAME
    stamp = bundle / "made.json"
    wanted = {"version": _VERSION, "seed": SEED}
    if stamp.exists() and json.loads(stamp.read_text("utf-8")) == wanted:
        return bundle
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(parents=True)
    shutil.copytree(DEMO / "vad", bundle / "vad")
    torch.manual_seed(SEED)
    with loading._quiet():
        _write_recogniser(bundle / "asr")
        _write_punctuation(bundle / "punc")
    stamp.write_text(json.dumps(wanted) + "\n", "utf-8")
    return bundle


def _write_recogniser(folder: Path) -> None:
    config = yaml.safe_load((DEMO / "asr" / "config.yaml").read_text("utf-8"))
    dropout = dict.fromkeys(("dropout_rate", "positional_dropout_rate"), 0.1)
    width = {"attention_heads": 4, "linear_units": 2048, **dropout}
    config["encoder_conf"] |= {"output_size": 512, "num_blocks": 50, **width}
    config["decoder_conf"] |= {"num_blocks": 16, "att_layer_num": 16, **width}
    config["predictor_conf"] |= {"idim": 512, "smooth_factor2": 0.25, "noise_threshold2": 0.01}
    tokens = _recognition_tokens()
    module = _module(config, len(tokens))
    with torch.no_grad():
        module.predictor.cif_output.weight.mul_(3)
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
    """Move the bias of the CIF weights until the rate is right on sentences of the sample."""
    pieces = [sentence.astype(np.int16) for sentence in spoken_sentences()[::4]]
    predictor = module.predictor
    with torch.inference_mode():
        features, lengths = frontend(pieces)
        encoded, _ = module.encode(features, lengths)
        hidden = torch.relu(predictor.cif_conv1d(predictor.pad(encoded.transpose(1, 2))))
        logits = predictor.cif_output(hidden.transpose(1, 2))[..., 0] - predictor.cif_output.bias
        inside = torch.arange(logits.shape[1]) < lengths[:, None]
        seconds = sum(map(len, pieces)) / SAMPLE_RATE
        bias = _root(lambda value: float((torch.sigmoid(logits + value) * inside).sum()) / seconds - TOKENS_PER_SECOND)
        predictor.cif_output.bias.fill_(bias)


def _write_punctuation(folder: Path) -> None:
    config = yaml.safe_load((DEMO / "punc" / "config.yaml").read_text("utf-8"))
    config["model_conf"] |= {"embed_unit": 256, "att_unit": 256, "punc_list": _MARKS, "sentence_end_id": 3}
    config["encoder_conf"] |= {
        **_SANM,
        "input_size": 256,
        "output_size": 256,
        "attention_heads": 8,
        "linear_units": 1024,
        "num_blocks": 4,
    }
    tokens = _punctuation_tokens()
    module = _module(config, len(tokens))
    words = torch.from_numpy(np.random.default_rng(SEED).integers(1, VOCABULARY, (64, 20)))
    with torch.inference_mode():
        module.decoder.weight.mul_(3)
        scores = module.punc_forward(words, torch.full((64,), 20))[0]
        scores[..., 0] = -1e9  # <unk> is no mark
        module.decoder.bias[0] -= 1e3

        def marked(bias: float) -> float:
            moved = scores.clone()
            moved[..., 1] -= bias
            return float((moved.argmax(-1) != 1).float().mean()) - MARKS_PER_WORD

        module.decoder.bias[1] -= _root(marked)
    write_model(folder, config, module.state_dict(), "punctuation", tokens=tokens)


def _module(config: dict[str, Any], vocabulary: int) -> Any:
    module = loading._build(loading._funasr_tables(), config, vocabulary, torch.device("cpu"))
    return module.eval()


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function passes zero, between -30 and 30."""
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _recognition_tokens() -> list[str]:
    """8404 tokens: mostly characters, some Latin words and pieces."""
    latin = [f"{first}{second}a" + "@@" * (index % 2) for index, (first, second) in enumerate(_pairs())][:LATIN_TOKENS]
    characters = [chr(0x4E00 + index) for index in range(VOCABULARY - len(latin) - 4)]
    return ["<blank>", "<s>", "</s>", *characters, *latin, "<unk>"]


def _punctuation_tokens() -> list[str]:
    """As many words as the model of the production bundle knows; those that are recognised are among the first."""
    known = [token.replace("@@", "") for token in _recognition_tokens()[3:-1]]
    words = list(dict.fromkeys(known))
    others = [f"word{index}" for index in range(PUNCTUATION_VOCABULARY - len(words) - 2)]
    return ["<blank>", *words, *others, "<unk>"]


def _pairs() -> list[tuple[str, str]]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [(first, second) for first in letters for second in letters]
