"""A corrected text gets its times from the words that are still in it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from common.transcript.realign import realigned
from common.transcript.values import Word


def recognised_words(*texts: str) -> list[Word]:
    return [Word(text, 1000 + 100 * place, 1080 + 100 * place, 0.5) for place, text in enumerate(texts)]


def shown(text: str, *texts: str) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_ms, word.end_ms) for word in realigned(text, recognised_words(*texts))]


def test_a_replaced_word_takes_the_place_of_the_old_one() -> None:
    assert shown("用 CUDA 吧。", "用", "酷", "达", "吧") == [
        ("用", 1000, 1080),
        ("CUDA", 1100, 1280),
        ("吧", 1300, 1380),
    ]


def test_what_is_written_in_between_shares_the_pause() -> None:
    assert shown("甲乙丙丁", "甲", "丁") == [
        ("甲", 1000, 1080),
        ("乙", 1080, 1090),
        ("丙", 1090, 1100),
        ("丁", 1100, 1180),
    ]
    assert shown("啊甲", "甲") == [("啊", 1000, 1000), ("甲", 1000, 1080)]
    assert shown("甲啊", "甲") == [("甲", 1000, 1080), ("啊", 1080, 1080)]


def test_case_and_punctuation_move_nothing() -> None:
    assert shown("It's GPU, ok!", "it's", "gpu", "ok") == [
        ("It's", 1000, 1080),
        ("GPU", 1100, 1180),
        ("ok", 1200, 1280),
    ]


def test_without_words_there_are_no_times() -> None:
    assert realigned("甲", []) == realigned("……", recognised_words("甲")) == ()


@given(st.text("甲乙丙丁 ab,。"), st.lists(st.sampled_from("甲乙丙丁ab"), max_size=8))
def test_times_go_forward_and_words_stand_in_the_text(text: str, texts: list[str]) -> None:
    words = realigned(text, recognised_words(*texts))
    reached = 0
    for word in words:
        reached = text.index(word.text, reached) + len(word.text)
    edges = [time for word in words for time in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)


def test_few_words_said_very_often_cost_no_square() -> None:
    """Of 150 equal words and a correction of 5,000, the alignment that looks at all pairs takes seconds."""
    recognised = [Word("好", number * 100, number * 100 + 100, 0.5) for number in range(150)]
    aligned = realigned("好" * 5000, recognised)
    assert len(aligned) == 5000
    assert [word.confidence for word in aligned[:150]] == [0.5] * 150
    assert all(one.end_ms <= other.start_ms for one, other in pairwise(aligned))
    begun = realigned("不" + "好" * 4000 + "吗", recognised)
    assert (len(begun), begun[0].start_ms, begun[-1].end_ms) == (4002, 0, 15_000)
