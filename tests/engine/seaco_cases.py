"""A small SeACo-Paraformer in FunASR's own class, with random weights, and lists of hotwords for it."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from worker.engine.bundles import loading
from worker.engine.bundles.bundles import PIECES_FILE, part_files

NETWORKS = {"bias_encoder", "seaco_decoder", "hotword_output_layer"}
ENGLISH = {"backup": ["back@@", "up"], "database": ["data@@", "base"], "python": ["python"], "codeboard": ["code@@"]}
"""Words of the pieces file; the last one has a piece that the model does not know."""


def make_seaco(random_bundle: Path, target: Path) -> None:
    """The random recogniser as a SeacoParaformer, whose hotword networks change a good half of its tokens."""
    for name in ("seaco_paraformer.model", "contextual_paraformer.decoder"):
        importlib.import_module(f"funasr.models.{name}")
    shutil.copytree(random_bundle, target)
    folder = target / "asr"
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    tokens = tokens_of(target)
    config["model"] = "SeacoParaformer"
    config["model_conf"] |= {
        "inner_dim": config["encoder_conf"]["output_size"],
        "bias_encoder_type": "lstm",
        "bias_encoder_bid": False,
        "seaco_lsm_weight": 0.1,
        "seaco_length_normal": True,
        "train_decoder": True,
        "NO_BIAS": len(tokens) - 1,
    }
    config["seaco_decoder"] = "ParaformerSANMDecoder"
    own = {"num_blocks": 4, "att_layer_num": 6, "kernel_size": 21, "use_output_layer": False, "wo_input_layer": True}
    config["seaco_decoder_conf"] = config["decoder_conf"] | own
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    torch.manual_seed(17)
    module = loading._build(loading._funasr_tables(), config, len(tokens), torch.device("cpu"))
    before = torch.load(folder / "model.pt", weights_only=True)
    assert module.load_state_dict(before, strict=False).unexpected_keys == []
    assert {name.partition(".")[0] for name in module.state_dict().keys() - before.keys()} == NETWORKS
    _sharpen(module)
    torch.save(module.state_dict(), folder / "model.pt")
    characters = [f"{token} {token}" for token in tokens if len(token) == 1 and not token.isascii()]
    words = [" ".join((word, *pieces)) for word, pieces in ENGLISH.items()]
    (folder / PIECES_FILE).write_text("\n".join([*characters, *words]) + "\n", encoding="utf-8")


def tokens_of(bundle: Path) -> list[str]:
    """The recogniser's vocabulary."""
    return loading._read_tokens(part_files(bundle / "asr")["tokens.json"])


def hotwords(bundle: Path, count: int, seed: int = 0) -> tuple[str, ...]:
    """Different random words of two to five characters, one in eight in English, sorted as a job has them."""
    characters = [token for token in tokens_of(bundle) if len(token) == 1 and not token.isascii()]
    generator = np.random.default_rng([seed, count])
    chosen = set(("backup", "database", "python")[: count // 8])
    while len(chosen) < count:
        chosen.add("".join(generator.choice(characters, int(generator.integers(2, 6)))))
    return tuple(sorted(chosen))


def _sharpen(module: Any) -> None:
    """Make attention peaky and the tokens of hotwords about as probable as "none"."""
    with torch.no_grad():
        for layer in module.seaco_decoder.decoders:
            layer.src_attn.linear_q.weight.mul_(6)
            layer.src_attn.linear_k_v.weight.mul_(12)
            layer.src_attn.linear_out.weight.mul_(8)
        module.hotword_output_layer.bias[module.NO_BIAS] += 4.2
