"""Small SenseVoice models with random weights and their own SentencePiece vocabularies, made for tests."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from worker.engine.bundles import loading
from worker.engine.bundles.bundles import part_files
from worker.engine.bundles.sentence_pieces import read_pieces
from worker.engine.features import AsrFrontend, load_cmvn
from worker.engine.recognition.sensevoice.networks import _queries

PIECES = "chn_jpn_yue_eng_ko_spectok.bpe.model"
TAGS = (
    *("zh", "en", "yue", "ja", "ko", "nospeech", "HAPPY", "SAD", "ANGRY", "NEUTRAL", "EMO_UNKNOWN"),
    *("Speech", "BGM", "Applause", "Laughter", "Event_UNK", "withitn", "woitn"),
)
TEXTS = (
    "今天的天气很好我们去公园吧",
    "请把会议纪要发给我 the project deadline is in 2024",
    "hello everyone it's the database of the dashboard",
    "呢個係廣東話佢哋唔識講",
    "こんにちは 世界 ありがとう",
    "안녕하세요 반갑습니다 오늘 회의",
)
WIDTH = 48


def vocabulary(kind: str = "char") -> bytes:
    """A SentencePiece model: `char` has one piece for each character, `bpe` also longer ones and bytes."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_writer=model,
        vocab_size=600,
        hard_vocab_limit=False,
        model_type=kind,
        byte_fallback=kind == "bpe",
        user_defined_symbols=[f"<|{tag}|>" for tag in TAGS],
        character_coverage=1.0,
        # What it reads is what it writes, also two spaces.
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    return model.getvalue()


def write_bundle(base: Path, target: Path, pieces: bytes, speech: NDArray[np.int16]) -> Path:
    """A copy of a bundle whose recogniser is a small SenseVoiceSmall; `speech` shapes the random head."""
    shutil.copytree(base, target)
    folder = target / "asr"
    cmvn = part_files(folder)["am.mvn"].read_bytes()
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "am.mvn").write_bytes(cmvn)
    (folder / PIECES).write_bytes(pieces)
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration()), encoding="utf-8")
    vocabulary = read_pieces(folder / PIECES)
    torch.manual_seed(23)
    module = loading._build(loading._funasr_tables(), configuration(), len(vocabulary), torch.device("cpu")).eval()
    with torch.no_grad():
        _teach(module, vocabulary, AsrFrontend(load_cmvn(folder / "am.mvn"))([speech])[0])
    torch.save(module.state_dict(), folder / "model.pt")
    return target


def configuration() -> dict[str, Any]:
    """The configuration of the published model, with small layers."""
    return {
        "model": "SenseVoiceSmall",
        "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
        "encoder": "SenseVoiceEncoderSmall",
        "encoder_conf": {
            "output_size": WIDTH,
            "attention_heads": 4,
            "linear_units": 96,
            "num_blocks": 3,
            "tp_blocks": 2,
            "dropout_rate": 0.1,
            "positional_dropout_rate": 0.1,
            "attention_dropout_rate": 0.1,
            "input_layer": "pe",
            "pos_enc_class": "SinusoidalPositionEncoder",
            "normalize_before": True,
            "kernel_size": 11,
            "sanm_shfit": 0,
            "selfattention_layer_type": "sanm",
        },
        "frontend": "WavFrontend",
        "frontend_conf": {
            "fs": 16000,
            "window": "hamming",
            "n_mels": 80,
            "frame_length": 25,
            "frame_shift": 10,
            "lfr_m": 7,
            "lfr_n": 6,
            "dither": 0.0,
        },
        "tokenizer": "SentencepiecesTokenizer",
        "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
    }


ASKED = {"auto": "zh", "zh": "zh", "en": "en", "yue": "yue", "ja": "ja", "ko": "ko"}
"""What the model is asked for → the language that it answers."""


def _teach(module: Any, vocabulary: list[str], features: torch.Tensor) -> None:
    """A head that answers the four queries with tags, the first with the language asked for, and says anything else.

    `features` float32 [1, T, 560]: speech that the random rows of the head are scaled for.
    """
    module.embed.weight.mul_(3)
    encoded, answers = [], []
    for place in range(0, features.shape[1] - 60, 9):
        piece = features[0, place : place + 8 + place % 50]
        for asked, language in ASKED.items():
            inputs = torch.cat([_queries(module, [asked])[0], piece])[None]
            encoded.append(module.encoder(inputs, torch.tensor([inputs.shape[1]]))[0][0])
            answers += [language, "NEUTRAL", "BGM", "woitn"]
    speech = torch.cat([hidden[4:] for hidden in encoded])
    head = module.ctc.ctc_lo
    torch.nn.init.normal_(head.weight)
    head.weight.div_(speech.std(dim=0))
    head.bias.copy_(-(head.weight @ speech.mean(dim=0)))
    logits = head(speech)
    head.bias[0] += (logits.max(dim=1).values - logits[:, 0]).quantile(0.7)  # most frames are blank
    head.bias[[1, 2]] -= 100.0  # begin and end are never said
    heads = torch.cat([hidden[:4] for hidden in encoded])
    rows = torch.cat([heads, speech])
    rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1).double()
    normal = rows.T @ rows + 1e-2 * torch.eye(rows.shape[1], dtype=torch.float64)
    loud = 3.0 * head(heads).max()
    for tag in dict.fromkeys(answers):  # a large logit at its own frame and none elsewhere, by least squares
        wanted = torch.zeros(len(rows), dtype=torch.float64)
        wanted[: len(answers)] = torch.tensor([float(loud * (answer == tag)) for answer in answers])
        solved = torch.linalg.solve(normal, rows.T @ wanted)
        number = vocabulary.index(f"<|{tag}|>")
        head.weight[number], head.bias[number] = solved[:-1].float(), solved[-1].float()


def funasr(bundle: Path) -> Any:
    """FunASR's own model of a bundle."""
    import importlib

    from funasr import AutoModel

    importlib.import_module("funasr.tokenizer.sentencepiece_tokenizer")
    folder = bundle / "asr"
    model: Any = AutoModel(
        model=str(folder),
        tokenizer_conf={"bpemodel": str(folder / PIECES)},
        device="cpu",
        disable_update=True,
        disable_pbar=True,
        log_level="ERROR",
    )
    assert type(model.model).__name__ == "SenseVoiceSmall"
    return model
