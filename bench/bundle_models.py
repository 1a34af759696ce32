"""The shipped bundles in full size, with random weights: `bench.models` with the networks of each definition.

Layers and vocabularies are as large as in the published files, which `tests/engine/test_bench_bundles.py` compares.
Recognisers emit about 4.5 tokens per second of speech, so speed and memory are comparable.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from bench.audio import SAMPLE_RATE, spoken_sentences
from bench.models import (
    DEMO,
    SEED,
    TOKENS_PER_SECOND,
    full_size_bundle,
    made_bundle,
    module_of,
    punctuation_tokens,
    recogniser_config,
    recognition_tokens,
    sized_punctuation,
    write_punctuation,
    write_recogniser,
)
from training.bundle import write_model
from worker.engine.bundles.bundles import PIECES_FILE, WORDS_FILE
from worker.engine.features import AsrFrontend, load_cmvn

_VERSION = 1
WORD_VOCABULARY = 471_067
ENGLISH_VOCABULARY = 10_020
SENSEVOICE_VOCABULARY = 25_055
_FRAMES_OF_QUERIES = 4
_PIECES_FILE = "chn_jpn_yue_eng_ko_spectok.bpe.model"
_LANGUAGE_TAGS = ("zh", "en", "yue", "ja", "ko", "nospeech")


def bundle_named(name: str, directory: Path) -> Path:
    """The path of a shipped bundle below `directory`; it is created there (two minutes, up to 1.1 GB) if missing."""
    if name not in NAMES:
        raise KeyError(f"there is no full-size bundle {name!r}; there are {', '.join(NAMES)}")
    if name not in _WRITERS:
        return full_size_bundle(directory)
    return made_bundle(directory / name, {"version": _VERSION, "seed": SEED}, _WRITERS[name])


def seaco_config() -> dict[str, Any]:
    """SeACo-Paraformer: the recogniser of `paraformer-large-zh` and its networks for hotwords."""
    config = recogniser_config()
    config["model"] = "SeacoParaformer"
    config["model_conf"] |= {
        "inner_dim": 512,
        "bias_encoder_type": "lstm",
        "bias_encoder_bid": False,
        "seaco_lsm_weight": 0.1,
        "seaco_length_normal": True,
        "train_decoder": True,
        "NO_BIAS": 8377,
    }
    config["seaco_decoder"] = "ParaformerSANMDecoder"
    own = {"num_blocks": 4, "att_layer_num": 6, "kernel_size": 21, "linear_units": 1024}
    config["seaco_decoder_conf"] = config["decoder_conf"] | own | {"use_output_layer": False, "wo_input_layer": True}
    return config


def plain_config() -> dict[str, Any]:
    """The class for English, whose predictor has no times of words."""
    config = recogniser_config()
    known = {"idim", "threshold", "l_order", "r_order", "tail_threshold"}
    config["model"], config["predictor"] = "Paraformer", "CifPredictorV2"
    config["predictor_conf"] = {name: value for name, value in config["predictor_conf"].items() if name in known}
    return config


def sensevoice_config() -> dict[str, Any]:
    """SenseVoiceSmall: 50 encoder blocks, 20 more after them, and a CTC head."""
    config = recogniser_config()
    return {
        "model": "SenseVoiceSmall",
        "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
        "encoder": "SenseVoiceEncoderSmall",
        "encoder_conf": config["encoder_conf"] | {"tp_blocks": 20},
        **{name: config[name] for name in ("frontend", "frontend_conf")},
        "tokenizer": "SentencepiecesTokenizer",
        "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
    }


def word_punctuation_config() -> dict[str, Any]:
    """FunASR's `ct-punc`, which counts words."""
    return sized_punctuation(width=516, heads=12, linear_units=2048, blocks=12)


def english_tokens() -> list[str]:
    """Three-letter words and, one in three, pieces that are joined to the next one."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [first + second + third for first in letters for second in letters for third in letters]
    made = [word + "@@" * (index % 3 == 0) for index, word in enumerate(words[: ENGLISH_VOCABULARY - 4])]
    return ["<blank>", "<s>", "</s>", *made, "<unk>"]


def sensevoice_characters() -> list[str]:
    """The tokens of the SentencePiece vocabulary that are neither tags nor special: Chinese characters."""
    special = 4 + len(_LANGUAGE_TAGS)  # <unk>, <s>, </s> and the space
    ranges = [*range(0x4E00, 0x9FF0), *range(0x3400, 0x4DB0)]
    return [chr(code) for code in ranges[: SENSEVOICE_VOCABULARY - special]]


def _write_seaco(bundle: Path) -> None:
    tokens = recognition_tokens()
    write_recogniser(bundle / "asr", seaco_config(), tokens)
    pieces = [f"{token} {token}" for token in tokens if len(token) == 1]
    (bundle / "asr" / PIECES_FILE).write_text("\n".join(pieces) + "\n", "utf-8")
    _write_word_punctuation(bundle / "punc", tokens)


def _write_english(bundle: Path) -> None:
    tokens = english_tokens()
    write_recogniser(bundle / "asr", plain_config(), tokens)
    _write_word_punctuation(bundle / "punc", tokens)


def _write_sensevoice(bundle: Path) -> None:
    folder, config = bundle / "asr", sensevoice_config()
    mvn = load_cmvn(DEMO / "asr" / "am.mvn")
    module = module_of(config, SENSEVOICE_VOCABULARY)
    with torch.inference_mode():
        _speak(module, AsrFrontend(mvn))
    write_model(
        folder,
        config,
        module.state_dict(),
        "auto-speech-recognition",
        mvn=(mvn.shift.numpy(), mvn.scale.numpy()),
    )
    (folder / _PIECES_FILE).write_bytes(_sentence_pieces())
    _name_file(folder, tokenizer_conf={"bpemodel": _PIECES_FILE})
    _write_word_punctuation(bundle / "punc", ["<blank>", "<s>", "</s>", *sensevoice_characters(), "<unk>"])


def _speak(module: Any, frontend: AsrFrontend) -> None:
    """A head that says nothing in most frames, so that the rate of tokens is right, and never a tag."""
    module.embed.weight.mul_(3)
    pieces = [sentence.astype(np.int16) for sentence in spoken_sentences()[::4]]
    features, lengths = frontend(pieces)
    queries = module.embed.weight[[0, 1, 2, 15]].expand(len(pieces), -1, -1)
    hidden, _ = module.encoder(torch.cat([queries, features], dim=1), lengths + _FRAMES_OF_QUERIES)
    speech = torch.cat(
        [row[_FRAMES_OF_QUERIES : _FRAMES_OF_QUERIES + length] for row, length in zip(hidden, lengths, strict=True)]
    )
    head = module.ctc.ctc_lo
    torch.nn.init.normal_(head.weight)
    head.weight.div_(speech.std(dim=0))
    head.bias.copy_(-(head.weight @ speech.mean(dim=0)))
    logits = head(speech)
    seconds = sum(map(len, pieces)) / SAMPLE_RATE
    spoken = TOKENS_PER_SECOND * seconds / len(speech)
    head.bias[0] += (logits.max(dim=1).values - logits[:, 0]).quantile(1 - spoken)
    head.bias[1 : 3 + len(_LANGUAGE_TAGS)] -= 1000.0


def _sentence_pieces() -> bytes:
    """A SentencePiece model of the published size, with a token for each character."""
    from sentencepiece import SentencePieceTrainer

    characters = sensevoice_characters()
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter("".join(characters[first : first + 100]) for first in range(0, len(characters), 100)),
        model_writer=model,
        vocab_size=SENSEVOICE_VOCABULARY,
        model_type="char",
        user_defined_symbols=[f"<|{tag}|>" for tag in _LANGUAGE_TAGS],
        character_coverage=1.0,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    return model.getvalue()


def _write_word_punctuation(folder: Path, recognised: list[str]) -> None:
    write_punctuation(folder, word_punctuation_config(), punctuation_tokens(recognised, WORD_VOCABULARY))
    (folder / WORDS_FILE).write_text("云计算平台 50 n\n", "utf-8")
    _name_file(folder, jieba_usr_dict=WORDS_FILE)


def _name_file(folder: Path, **more: Any) -> None:
    """Name further files of a model, as the hubs' configuration.json does."""
    path = folder / "configuration.json"
    described = json.loads(path.read_text("utf-8"))
    described["file_path_metas"] |= more
    path.write_text(json.dumps(described, indent=2) + "\n", "utf-8")


_WRITERS: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {"paraformer-zh": _write_seaco, "paraformer-en": _write_english, "sensevoice-small": _write_sensevoice}
)

NAMES = ("paraformer-large-zh", *_WRITERS)
"""The bundles that can be made, by the names of their definitions."""
