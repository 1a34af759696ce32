"""How transcripts are cut into sections for a language model, and what is asked of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.summaries.prompts import BUILT_IN, KINDS, Step, instructions, material
from common.summaries.sections import groups, text_sections, tokens_of
from common.transcript.values import Sentence

TEXTS = st.text("abc 字。", min_size=0, max_size=80)


def spoken(texts: list[str], *, speakers: list[int | None] | None = None, gap_ms: int = 2000) -> list[Sentence]:
    return [
        Sentence(text, gap_ms * i, gap_ms * i + 1000, 0.9, (), number=i, speaker=speakers[i] if speakers else None)
        for i, text in enumerate(texts)
    ]


@given(st.lists(TEXTS, max_size=60), st.integers(40, 200), st.lists(st.integers(1, 3), min_size=60, max_size=60))
def test_sections_hold_every_sentence_once_in_order_and_fit(texts: list[str], budget: int, who: list[int]) -> None:
    sentences = spoken(texts, speakers=list(who))
    labels = {1: "Ann", 2: "王晓明", 3: "Speaker 3"}
    found = list(text_sections(sentences, labels, channels=1, budget=budget))
    assert all(tokens_of(section.text) <= budget for section in found)
    assert [section.last for section in found] == sorted({section.last for section in found})
    kept = [sentence for sentence in sentences if sentence.text]
    assert (found[-1].last if found else None) == (kept[-1].number if kept else None)
    begins = [-1, *(section.last for section in found)]
    for section, (after, until) in zip(found, pairwise(begins), strict=True):
        place = 0
        for sentence in kept:
            assert sentence.number is not None
            if after < sentence.number <= until and tokens_of(sentence.text) < budget // 2:
                place = section.text.index(sentence.text, place) + len(sentence.text)


def test_lines_name_speakers_and_times_and_join_what_one_says() -> None:
    sentences = spoken(["你好。", "开始吧。", "Yes.", "Let us go."], speakers=[1, 1, 2, 2])
    [section] = text_sections(sentences, {1: "王晓明", 2: "Speaker 2"}, channels=1, budget=500)
    assert section.text == "[0:00:00] 王晓明: 你好。开始吧。\n[0:00:04] Speaker 2: Yes. Let us go."
    assert (section.last, section.end_ms) == (3, 7000)


def test_a_long_speech_has_times_and_channels_are_named() -> None:
    [section] = text_sections(spoken(["一。", "二。", "三。"], gap_ms=40_000), {}, channels=2, budget=500)
    assert section.text == "[0:00:00] Channel 1: 一。二。\n[0:01:20] Channel 1: 三。"


def test_a_sentence_beyond_the_budget_is_shortened() -> None:
    found = list(text_sections(spoken(["好。", "字" * 5000, "完。"]), {}, channels=1, budget=100))
    assert [tokens_of(section.text) <= 100 for section in found] == [True] * 2
    assert "字…" in found[1].text


@given(st.lists(TEXTS, min_size=1, max_size=50), st.integers(1, 100))
def test_merging_in_groups_ends(texts: list[str], budget: int) -> None:
    places = list(groups(texts, budget=budget))
    assert [place for some in places for place in some] == list(range(len(texts)))
    assert len(places) <= (len(texts) + 1) // 2
    for some in places:
        assert len(some) <= 2 or sum(tokens_of(texts[place]) for place in some) <= budget


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_instructions_in_both_languages(kind: str, language: str) -> None:
    prompt = BUILT_IN[kind, language]
    for step in (Step("whole"), Step("section", 7), Step("merge")):
        told = instructions(prompt, language, step)
        assert prompt in told
        assert "{" not in told
    assert "7" in instructions(prompt, language, Step("section", 7))


def test_a_template_may_contain_braces() -> None:
    assert "as {json}" in instructions("as {json}", "en", Step("whole"))


def test_the_material_stands_between_marks() -> None:
    assert material(["a", "b"], "77aa").splitlines() == ["=== BEGIN 77aa ===", "a", "", "b", "=== END 77aa ==="]
