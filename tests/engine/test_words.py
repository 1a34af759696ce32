"""Joining tokens into words, against FunASR's sentence_postprocess."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine.recognition.words import Vocabulary, join_tokens, split_words

TOKENS = ["我", "们", "的", "9", "hel@@", "lo", "world", "a", "i", "k", "don't", "data@@", "base", "<unk>"]


def joined(tokens: list[str]) -> list[str]:
    ids = [TOKENS.index(token) for token in tokens]
    times = [[100 * k, 100 * k + 80] for k in range(len(ids))]
    return [word.text for word in join_tokens(Vocabulary(TOKENS), ids, times, [-0.1] * len(ids))]


def test_pieces_letters_and_characters() -> None:
    assert joined(["我", "hel@@", "lo", "们"]) == ["我", "hello", "们"]
    assert joined(["我", "a", "i", "的"]) == ["我", "AI", "的"]
    assert joined(["k", "的", "a", "i", "k", "world"]) == ["k", "的", "AIK", "world"]
    assert joined(["<unk>", "我", "9"]) == ["我", "9"]
    assert joined([]) == []


def test_words_and_times_equal_funasr() -> None:
    from funasr.utils.postprocess_utils import sentence_postprocess

    generator = np.random.default_rng(3)
    vocabulary = Vocabulary(TOKENS)
    for _ in range(1000):
        ids = generator.integers(0, len(TOKENS) - 1, int(generator.integers(1, 12))).tolist()
        times = [[100 * k, 100 * k + 80] for k in range(len(ids))]
        tokens = [TOKENS[i] for i in ids]
        text, spans, _ = sentence_postprocess(list(tokens), [list(t) for t in times])
        words = join_tokens(vocabulary, ids, times, [0.0] * len(ids))
        assert " ".join(word.text for word in words) == text
        assert [[word.start_ms, word.end_ms] for word in words] == spans


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param("hel@@ 我 lo", "我 hello", id="unfinished before a character, as FunASR"),
        pytest.param("我 hel@@", "我", id="unfinished at the end, as FunASR"),
        pytest.param("1@@ 2", "1 2", id="a digit with a joiner"),
        pytest.param("我 @@ 的", "我 的", id="a lone joiner"),
        pytest.param("a & b", "a & b", id="a symbol between letters"),
        pytest.param("3 . 5", "3 . 5", id="a decimal point"),
        pytest.param("caf@@ é", "café", id="Latin letters beyond ASCII"),
        pytest.param("我 élan 的", "我 élan 的", id="a word that begins beyond ASCII"),
        pytest.param("㐀 𠀀 〇", "㐀 𠀀 〇", id="rare characters"),
        pytest.param("hel@@ 㐀", "hel 㐀", id="unfinished before a rare character"),
        pytest.param("<unk> hel@@ <unk> lo", "hello", id="unknown tokens"),
        pytest.param("<unk>", "", id="nothing but an unknown token"),
    ],
)
def test_odd_tokens(tokens: str, expected: str) -> None:
    own = tokens.split()
    times = [[100 * k, 100 * k + 80] for k in range(len(own))]
    words = join_tokens(Vocabulary(own), range(len(own)), times, [0.0] * len(own))
    assert " ".join(word.text for word in words) == expected


def test_every_word_of_any_tokens_has_a_time_within_its_segment() -> None:
    own = [*TOKENS, "&", ".", "-", "'", "@", "〇", "，", "㐀", "𠀀", "ａ", "é", "1@@", "b@@", "fé", "a&b", "@@"]
    generator = np.random.default_rng(5)
    vocabulary = Vocabulary(own)
    for _ in range(2000):
        ids = generator.integers(0, len(own), int(generator.integers(0, 12))).tolist()
        words = join_tokens(vocabulary, ids, [[100 * k, 100 * k + 80] for k in range(len(ids))], [0.0] * len(ids))
        assert all(0 <= word.start_ms < word.end_ms <= 100 * len(ids) for word in words)
        assert all("@@" not in word.text and "<" not in word.text for word in words)


def test_confidence_is_the_geometric_mean() -> None:
    ids = [TOKENS.index("hel@@"), TOKENS.index("lo")]
    (word,) = join_tokens(Vocabulary(TOKENS), ids, [[0, 50], [50, 90]], [np.log(0.5), np.log(0.98)])
    assert (word.text, word.start_ms, word.end_ms) == ("hello", 0, 90)
    assert abs(word.confidence - np.sqrt(0.5 * 0.98)) < 1e-9


def test_after_an_unknown_token_words_keep_their_own_times() -> None:
    ids = [TOKENS.index(token) for token in ("<unk>", "我", "world", "们")]
    times = [[0, 10], [10, 20], [20, 30], [30, 40]]
    words = join_tokens(Vocabulary(TOKENS), ids, times, [0.0] * 4)
    assert [(word.text, word.start_ms) for word in words] == [("我", 10), ("world", 20), ("们", 30)]


def test_split_words_counts_as_punctuation_does() -> None:
    from funasr.models.ct_transformer.utils import split_words as reference

    for text in ("我们 hello 的", "  a\u3000b 中c文 ", ""):
        assert split_words(text) == reference(text)


def test_split_words_keeps_letters_beyond_ascii_together() -> None:
    assert split_words("café 中 naïve文 привет") == ["café", "中", "naïve", "文", "привет"]
