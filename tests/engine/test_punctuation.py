"""Punctuation of a stream against FunASR's CTTransformer on the whole text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.transcript.values import Sentence, Word, joined_text
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.punctuation.punctuator import LONGEST_SENTENCE_WORDS, PunctuationStream, Punctuator

ENGLISH = ["project", "AI", "deadline", "ok", "backup"]


@pytest.fixture(scope="module")
def part(random_bundle: Path) -> loading.ModelPart:
    return loading.load(from_directory(random_bundle), "cpu").punc


@pytest.fixture(scope="module")
def label_with(part: loading.ModelPart) -> Callable[[float], Punctuator]:
    """The random model, with a given push towards no mark (so that sentences get short or very long)."""
    column = list(part.module.punc_list).index("_")
    start = part.module.decoder.bias[column].item()

    def make(push: float) -> Punctuator:
        part.module.decoder.bias[column] = start + push
        return Punctuator(part.module, part.tokens, torch.device("cpu"))

    return make


def words_of(count: int, generator: np.random.Generator, tokens: list[str]) -> list[Word]:
    characters = [token for token in tokens if len(token) == 1 and not token.isascii()]
    chosen = [str(generator.choice(ENGLISH if generator.random() < 0.15 else characters)) for _ in range(count)]
    return [Word(text, 100 * k, 100 * k + 90, 0.9) for k, text in enumerate(chosen)]


def streamed(punctuator: Punctuator, words: list[Word], generator: np.random.Generator) -> list[Sentence]:
    """In pieces of random sizes, with the state saved and restored now and then."""

    def new() -> PunctuationStream:
        return PunctuationStream(punctuator, lambda window: punctuator.label([window])[0])

    stream, sentences, position = new(), [], 0
    while position < len(words):
        step = int(generator.integers(1, 45))
        sentences += stream.accept(words[position : position + step])
        position += step
        if generator.random() < 0.3:
            state = stream.state()
            stream = new()
            stream.restore(state)
    return sentences + stream.finish()


@pytest.mark.parametrize("push", [-1.0, 0.0, 1.0])
def test_text_equals_funasr(push: float, part: loading.ModelPart, label_with: Callable[[float], Punctuator]) -> None:
    from funasr.tokenizer.char_tokenizer import CharTokenizer

    tokenizer: Any = CharTokenizer(token_list=part.tokens, unk_symbol="<unk>", split_with_space=True)
    punctuator = label_with(push)
    generator = np.random.default_rng(23)
    for count in (1, 2, 19, 20, 21, 40, 57, 100, 299, 400):
        words = words_of(count, generator, part.tokens)
        text = " ".join(word.text for word in words)
        with torch.no_grad():
            results, _ = part.module.inference([text], key=["k"], tokenizer=tokenizer, device="cpu")
        expected = re.sub(r"(?<=[。？，、]) +", "", results[0]["text"]).strip()
        sentences = streamed(punctuator, words, generator)
        assert joined_text(sentences) == expected
        assert [word for sentence in sentences for word in sentence.words] == words


def test_sentences_carry_times_and_confidence(label_with: Callable[[float], Punctuator]) -> None:
    punctuator = label_with(0.0)
    words = [Word("我", 0, 90, 0.5), Word("们", 100, 190, 1.0)]
    stream = PunctuationStream(punctuator, lambda window: punctuator.label([window])[0], channel=1)
    sentences = stream.accept(words) + stream.finish()
    assert (sentences[0].start_ms, sentences[-1].end_ms) == (0, 190)
    assert sentences[0].channel == 1
    assert np.mean([word.confidence for s in sentences for word in s.words]) == pytest.approx(0.75)
    assert stream.finish() == []


def test_a_sentence_without_end_is_bounded(part: loading.ModelPart, label_with: Callable[[float], Punctuator]) -> None:
    punctuator = label_with(1000.0)  # never a mark
    words = words_of(LONGEST_SENTENCE_WORDS + 200, np.random.default_rng(1), part.tokens)
    stream = PunctuationStream(punctuator, lambda window: punctuator.label([window])[0])
    first = stream.accept(words)
    assert first and len(first[0].words) <= LONGEST_SENTENCE_WORDS + 20


def test_windows_of_several_streams_in_one_batch(
    part: loading.ModelPart, label_with: Callable[[float], Punctuator]
) -> None:
    punctuator = label_with(0.0)
    generator = np.random.default_rng(2)
    windows = [generator.integers(1, len(part.tokens), int(n)).tolist() for n in generator.integers(1, 150, 30)]
    together = punctuator.label(windows)
    for window, labels in zip(windows, together, strict=True):
        assert (punctuator.label([window])[0] == labels).all()
