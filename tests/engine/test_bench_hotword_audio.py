"""How the measurement of hotwords in speech counts."""

from __future__ import annotations

from bench.hotword_audio import Heard, Said, counted, halves, replaced, with_terms
from bench.hotwords import NAMES, sentence_of

SAID = (Said("我想了解石墨烯。", "石墨烯", "terms"), Said("黄峥来了。", "黄峥", "names"), Said("今天很好。"))
RECORDING = Heard(SAID, tuple(sentence_of(text, 0.3) for text in ("我想了解是墨西。", "黄真来了。", "今天很号。")))


def test_terms_and_errors_outside_of_them() -> None:
    before, after = counted([RECORDING], ()), counted([RECORDING], ("石墨烯", "黄峥"))
    assert (before.spoken, before.found) == (2, 0)
    assert (after.spoken, after.found) == (2, 2)
    assert (before.characters, before.errors) == (after.characters, after.errors) == (10, 1)
    assert counted([RECORDING], ("石墨烯",), "names").found == 0
    assert counted([RECORDING], ("石墨烯",), "terms").found == 1


def test_what_is_replaced() -> None:
    said = Heard(SAID[2:], (sentence_of("今天很号。", 0.3),))
    assert replaced([said], ("石墨烯",)) == (0, 4)
    assert replaced([said], ("很好",)) == (1, 4)


def test_halves_share_nothing() -> None:
    development, held_out = halves(NAMES).values()
    assert sorted(development + held_out) == sorted(NAMES)
    first, second = ({each.text for each in with_terms(half)} for half in ("development", "held-out"))
    assert len(first) > 150
    assert not first & second
