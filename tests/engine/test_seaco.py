"""SeACo-Paraformer, FunASR's `paraformer-zh`, for plain recognition: its own class with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from worker.engine.assembly import recogniser_of
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory, part_files

FILES = 50


@pytest.fixture(scope="module")
def seaco_bundle(random_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random recogniser in the class and with the additional networks that SeACo-Paraformer has."""
    import importlib

    for name in ("seaco_paraformer.model", "contextual_paraformer.decoder"):
        importlib.import_module(f"funasr.models.{name}")
    target = Path(shutil.copytree(random_bundle, tmp_path_factory.mktemp("seaco") / "seaco"))
    folder = target / "asr"
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    width = config["encoder_conf"]["output_size"]
    config["model"] = "SeacoParaformer"
    config["model_conf"] |= {
        "inner_dim": width,
        "bias_encoder_type": "lstm",
        "bias_encoder_bid": False,
        "seaco_lsm_weight": 0.1,
        "seaco_length_normal": True,
        "train_decoder": True,
        "NO_BIAS": len(loading._read_tokens(part_files(folder)["tokens.json"])) - 1,
    }
    config["seaco_decoder"] = "ParaformerSANMDecoder"
    config["seaco_decoder_conf"] = dict(config["decoder_conf"]) | {"num_blocks": 2, "use_output_layer": False}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    tokens = loading._read_tokens(part_files(folder)["tokens.json"])
    torch.manual_seed(17)
    module = loading._build(loading._funasr_tables(), config, len(tokens), torch.device("cpu"))
    own = torch.load(folder / "model.pt", weights_only=True)
    assert module.load_state_dict(own, strict=False).unexpected_keys == []
    state = module.state_dict()
    assert {name.partition(".")[0] for name in state.keys() - own.keys()} == {
        "bias_encoder",
        "seaco_decoder",
        "hotword_output_layer",
    }
    torch.save(state, folder / "model.pt")
    return target


def test_text_and_times_equal_funasr(seaco_bundle: Path, recordings: list[NDArray[np.int16]]) -> None:
    from funasr import AutoModel

    theirs: Any = AutoModel(
        model=str(seaco_bundle / "asr"), device="cpu", disable_update=True, disable_pbar=True, log_level="ERROR"
    )
    assert type(theirs.model).__name__ == "SeacoParaformer"
    theirs.kwargs["frontend"].dither = 0.0
    ours = recogniser_of(loading.load(from_directory(seaco_bundle), "cpu"))
    generator, characters = np.random.default_rng(31), 0
    for _ in range(FILES):
        audio = recordings[int(generator.integers(len(recordings)))]
        length = int(generator.integers(8_000, 8 * 16_000))
        start = int(generator.integers(0, len(audio) - length))
        segment = audio[start : start + length]
        [expected] = theirs.generate(segment.astype(np.float32) / 32768)
        words = ours.recognise([segment])[0]
        assert " ".join(word.text for word in words) == expected["text"]
        assert [[word.start_ms, word.end_ms] for word in words] == expected["timestamp"]
        characters += len(expected["text"])
    assert characters > 500
    ours.close()
