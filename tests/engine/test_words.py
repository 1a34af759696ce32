"""Joining tokens into words, against FunASR's sentence_postprocess."""

from __future__ import annotations

import numpy as np

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

    for text in ("我们 hello 的", "caf\u00e9 ok", "  a\u3000b 中c文 ", ""):
        assert split_words(text) == reference(text)
