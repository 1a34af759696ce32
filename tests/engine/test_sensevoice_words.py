"""What SenseVoice's pieces become: words and tags."""

from __future__ import annotations

import numpy as np
import pytest

from common.transcript.values import Tags, Word
from worker.engine.recognition.sensevoice.words import Token, Vocabulary, tags_of, words_of

PIECES = ["", "", "", "▁hello", "llo", "it", "'", "s", "今", "天的", "▁", "안녕", "▁세계", "<0xE4>", "<0xBB>", "<0x8A>"]
PIECES += [
    "<|en|>",
    "<|nospeech|>",
    "<|EMO_UNKNOWN|>",
    "<|HAPPY|>",
    "<|Speech|>",
    "<|Laughter|>",
    "<|BGM|>",
    "<|woitn|>",
]
IDS = {piece: number for number, piece in enumerate(PIECES)}


def joined(*pieces: str) -> list[tuple[str, int, int]]:
    """The words of pieces of which each is two frames long, from 30 ms on."""
    tokens = [Token(IDS[piece], 5 + 2 * place, 7 + 2 * place, -0.5) for place, piece in enumerate(pieces)]
    words = words_of(Vocabulary(PIECES), tokens, 100)
    assert [word.confidence for word in words] == pytest.approx([np.exp(-0.5)] * len(words))
    return [(word.text, word.start_ms, word.end_ms) for word in words]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["it", "'", "s"], [("it's", 30, 390)]),
        (["▁hello", "▁hello"], [("hello", 30, 150), ("hello", 150, 270)]),
        (["it", "今", "it"], [("it", 30, 150), ("今", 150, 270), ("it", 270, 390)]),
        (["天的"], [("天", 30, 90), ("的", 90, 150)]),
        (["안녕", "▁세계"], [("안녕", 30, 150), ("세계", 150, 270)]),
        (["it", "▁", "s"], [("it", 30, 150), ("s", 270, 390)]),
        (["<0xE4>", "<0xBB>", "<0x8A>"], [("今", 30, 390)]),
        (["<0xE4>", "<0xBB>", "s"], [("\ufffd", 30, 150), ("\ufffd", 150, 270), ("s", 270, 390)]),
        (["it", "<|BGM|>", "s"], [("its", 30, 390)]),
        (["▁", "<|en|>"], []),
    ],
)
def test_pieces_become_words(pieces: list[str], words: list[tuple[str, int, int]]) -> None:
    assert joined(*pieces) == words


@pytest.mark.parametrize(
    ("pieces", "tags"),
    [
        (["<|en|>", "<|HAPPY|>", "<|Speech|>", "<|woitn|>"], Tags("en", "happy")),
        (["<|nospeech|>", "<|EMO_UNKNOWN|>", "<|BGM|>", "<|woitn|>", "<|Laughter|>"], Tags(events=("bgm", "laughter"))),
        (["it"], Tags()),
    ],
)
def test_tags_are_told_apart(pieces: list[str], tags: Tags) -> None:
    tokens = [Token(IDS[piece], place, place + 1, -0.1) for place, piece in enumerate(pieces)]
    assert tags_of(Vocabulary(PIECES), tokens) == tags
    assert all(isinstance(word, Word) for word in words_of(Vocabulary(PIECES), tokens, 4))
