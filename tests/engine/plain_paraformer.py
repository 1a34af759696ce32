"""A small Paraformer of FunASR's plain class for English, with random weights, made for tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
import yaml

from worker.engine.bundles import loading
from worker.engine.bundles.bundles import part_files

WORDS = "the a i and of to it's don't we'll meeting budget project deadline ok thank you for your time at"
PIECES = "in inter re un data dash time some micro ser super pro trans b c"
ENDINGS = "ing ed ly er base board out view s t ation ment ful ness"
LETTERS = "a p i u s b c d k"


def english_tokens() -> list[str]:
    """Words, pieces that are joined to the next one (`data@@`), what ends such words, and letters to spell."""
    words = [*WORDS.split(), *(f"{piece}@@" for piece in PIECES.split()), *ENDINGS.split(), *LETTERS.split()]
    return ["<blank>", "<s>", "</s>", *dict.fromkeys(words), "<unk>"]


def make_plain(random_bundle: Path, target: Path) -> Path:
    """The random recogniser as a Paraformer with a CifPredictorV2, which says English words."""
    shutil.copytree(random_bundle, target)
    folder = target / "asr"
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    known = {"idim", "threshold", "l_order", "r_order", "tail_threshold"}
    config["model"], config["predictor"] = "Paraformer", "CifPredictorV2"
    config["predictor_conf"] = {name: value for name, value in config["predictor_conf"].items() if name in known}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    tokens = english_tokens()
    part_files(folder)["tokens.json"].write_text(json.dumps(tokens), encoding="utf-8")
    torch.manual_seed(29)
    module = loading._build(loading._funasr_tables(), config, len(tokens), torch.device("cpu"))
    with torch.no_grad():  # about three and a half tokens per second, unevenly placed
        module.predictor.cif_output.bias.fill_(-1.3)
        module.predictor.cif_output.weight.mul_(3)
        module.decoder.output_layer.bias[[0, 1, 2]] -= 1.0
        module.decoder.output_layer.bias[[tokens.index(letter) for letter in LETTERS.split()]] += 0.5
    torch.save(module.state_dict(), folder / "model.pt")
    return target
