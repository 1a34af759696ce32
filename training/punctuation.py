"""Trains the punctuation model: FunASR's CTTransformer (arXiv 2003.01309), one mark after each word.

The sentences come from the same grammar as the speech. A text has one to eight sentences and is cut off at any
point, as FunASR feeds it; a few words are replaced, since recognised words are not always right.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from funasr.models.ct_transformer.model import CTTransformer
from funasr.models.sanm.encoder import SANMEncoder  # noqa: F401 (registers itself)
from torch import Tensor
from torch.nn import functional

from training.bundle import write_model
from training.corpus import balanced_sentences
from training.text import UNKNOWN_TOKEN, held_out_sentences, vocabulary, words_of
from training.vocabulary import LETTER_WORDS, SPLIT_WORDS, WHOLE_WORDS

MARKS = ["<unk>", "_", "，", "。", "？", "、"]
NO_MARK = 1
_IGNORED = -100
_REPLACED_SHARE = 0.02
_LONGEST_TEXT = 120
_WIDTH = 128

CONFIG: dict[str, Any] = {
    "model": "CTTransformer",
    "model_conf": {
        "ignore_id": 0,
        "embed_unit": _WIDTH,
        "att_unit": _WIDTH,
        "dropout_rate": 0.1,
        "punc_list": MARKS,
        "punc_weight": [1.0] * len(MARKS),
        "sentence_end_id": 3,
    },
    "encoder": "SANMEncoder",
    "encoder_conf": {
        "input_size": _WIDTH,
        "output_size": _WIDTH,
        "attention_heads": 4,
        "linear_units": 256,
        "num_blocks": 3,
        "dropout_rate": 0.1,
        "positional_dropout_rate": 0.1,
        "attention_dropout_rate": 0.0,
        "input_layer": "pe",
        "pos_enc_class": "SinusoidalPositionEncoder",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
        "padding_idx": 0,
    },
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": UNKNOWN_TOKEN},
}


def punctuation_tokens() -> list[str]:
    """The model's words: `<blank>`, characters, English words as spoken text spells them, `<unk>` last."""
    characters = {token for token in vocabulary() if not token.isascii()}
    english = {*WHOLE_WORDS, *SPLIT_WORDS, *LETTER_WORDS}
    cased = {form for word in english for form in (word, word.lower(), word.upper(), word.capitalize())}
    return ["<blank>", *sorted(characters | cased), UNKNOWN_TOKEN]


def examples(seed: int, sentences: Iterator[str]) -> Iterator[tuple[list[int], list[int]]]:
    """An endless stream of (word ids, mark ids) for texts of one to eight sentences, cut off at any point."""
    random = Random(seed)
    ids = {token: index for index, token in enumerate(punctuation_tokens())}
    unknown = ids[UNKNOWN_TOKEN]
    while True:
        pairs = [pair for text in islice(sentences, random.randint(1, 8)) for pair in words_of(text)]
        if random.random() < 0.6:
            pairs = pairs[: random.randint(2, max(len(pairs), 2))]
        pairs = pairs[:_LONGEST_TEXT]
        words = [ids.get(word, unknown) for word, _ in pairs]
        words = [random.randrange(1, len(ids)) if random.random() < _REPLACED_SHARE else word for word in words]
        yield words, [MARKS.index(mark) if mark else NO_MARK for _, mark in pairs]


def _batch(source: Iterator[tuple[list[int], list[int]]], size: int) -> tuple[Tensor, Tensor, Tensor]:
    chosen = list(islice(source, size))
    lengths = torch.tensor([len(words) for words, _ in chosen])
    longest = int(lengths.max())
    words = torch.tensor([w + [0] * (longest - len(w)) for w, _ in chosen])
    marks = torch.tensor([m + [_IGNORED] * (longest - len(m)) for _, m in chosen])
    return words, lengths, marks


def train(directory: Path, steps: int = 900, seed: int = 21) -> float:
    """Train, write the model to `directory`, and return the F1 score of its marks on held-out sentences."""
    torch.manual_seed(seed)
    tokens = punctuation_tokens()
    model = CTTransformer(
        vocab_size=len(tokens),
        encoder=CONFIG["encoder"],
        encoder_conf=CONFIG["encoder_conf"],
        **CONFIG["model_conf"],
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1.5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, steps)
    source = examples(seed, balanced_sentences(seed))
    model.train()
    for step in range(steps):
        words, lengths, marks = _batch(source, 24)
        scores, _ = model.punc_forward(words, lengths)
        loss = functional.cross_entropy(scores.flatten(0, 1), marks.flatten(), ignore_index=_IGNORED)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"punctuation step {step} loss {loss.item():.4f}", flush=True)
    write_model(directory, CONFIG, model.state_dict(), "punctuation", tokens=tokens)
    return mark_f1(model, seed)


def mark_f1(model: CTTransformer, seed: int, texts: int = 60) -> float:
    """Micro F1 over all marks in texts of five held-out sentences each."""
    ids = {token: index for index, token in enumerate(punctuation_tokens())}
    sentences = held_out_sentences(texts * 5, seed)
    model.eval()
    right = guesses = wanted = 0
    with torch.inference_mode():
        for start in range(0, len(sentences), 5):
            pairs = [pair for text in sentences[start : start + 5] for pair in words_of(text)]
            words = torch.tensor([[ids.get(word, len(ids) - 1) for word, _ in pairs]])
            marks = torch.tensor([MARKS.index(mark) if mark else NO_MARK for _, mark in pairs])
            guessed = model.punc_forward(words, torch.tensor([len(pairs)]))[0][0].argmax(-1)
            right += int(((guessed == marks) & (marks > NO_MARK)).sum())
            guesses += int((guessed > NO_MARK).sum())
            wanted += int((marks > NO_MARK).sum())
    return 2 * right / (guesses + wanted)
