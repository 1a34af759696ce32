"""Subtitles that can be read, checked by their rules and by the field's parsers."""

from __future__ import annotations

import io
import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pysubs2
import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from common.transcript.formats import as_ass, as_srt, as_vtt
from common.transcript.subtitles import LEAST_MS, Cue, SubtitleOptions, line_width, subtitles, width
from common.transcript.values import Sentence
from tests.unit.common.test_formats import sentence, spoken


def cues(*sentences: Sentence, channels: int = 1, **options: object) -> list[Cue]:
    return list(subtitles(sentences, SubtitleOptions(**options), channels=channels))  # type: ignore[arg-type]


def chinese(text: str, start_ms: int = 0, each_ms: int = 200, channel: int = 0) -> Sentence:
    return spoken(text, *(sign for sign in text if sign.isalnum()), start_ms=start_ms, each_ms=each_ms, channel=channel)


def test_breaks_lie_behind_punctuation() -> None:
    shown = cues(chinese("今天我们讨论三个问题，第一个是预算，第二个是时间安排和人员。"))
    assert [cue.text for cue in shown] == ["今天我们讨论三个问题，", "第一个是预算，", "第二个是时间安排和人员。"]


def test_no_break_lies_inside_a_word() -> None:
    text = "我们下个星期在北京国际会议中心举行产品发布会欢迎大家参加"
    shown = cues(chinese(text))
    assert "".join(cue.text for cue in shown) == text
    cuts = set(itertools.accumulate(len(cue.text) for cue in shown))
    for word in ("北京", "国际", "会议", "中心", "举行", "产品", "欢迎", "大家", "参加"):
        place = text.index(word)
        assert not cuts & set(range(place + 1, place + len(word))), word


def test_lines_are_balanced() -> None:
    shown = cues(chinese("我们一致认为这个方案在技术上可行"), max_chars=12)
    assert len(shown) == 2
    assert abs(width(shown[0].text) - width(shown[1].text)) <= 8


def test_two_lines() -> None:
    (cue,) = cues(chinese("你会用电脑，还是愿意用纸和笔来写这份报告？"), max_lines=2)
    assert cue.lines == ("你会用电脑，", "还是愿意用纸和笔来写这份报告？")
    english = spoken("We will meet again on Monday, and then we will talk about the budget.", *LATIN)
    (shown,) = cues(english, max_lines=2)
    assert [len(line) <= 42 for line in shown.lines] == [True, True]


LATIN = ["We", "will", "meet", "again", "on", "Monday", "and", "then", "we", "will", "talk", "about", "the", "budget"]


def test_what_is_short_is_shown_with_its_neighbour_and_for_a_second() -> None:
    shown = cues(chinese("好。", 0, 100), chinese("我们现在开始。", 500), chinese("嗯。", 9000, 100))
    assert [cue.text for cue in shown] == ["好。我们现在开始。", "嗯。"]
    assert [cue.end_ms - cue.start_ms for cue in shown] == [1700, 1000]


def test_starts_ascend_over_channels() -> None:
    long = chinese("这是一个很长的句子，说了很久才说完，中间还有别人插话，但是他没有停下来。", 0, 400, 0)
    short = chinese("对，没错，是这样。", 5000, 200, 1)
    shown = cues(long, short, channels=2)
    assert [cue.start_ms for cue in shown] == sorted(cue.start_ms for cue in shown)
    assert {cue.channel for cue in shown} == {0, 1}


def test_a_text_that_is_not_made_of_its_words_shares_its_time() -> None:
    one = replace(
        chinese("一二三四五六七八九十一二三四五六七八九十"), text="完全不同的文字，它比一行要长得多，所以要分开。"
    )
    shown = cues(one)
    assert "".join(cue.text for cue in shown) == one.text
    assert (shown[0].start_ms, shown[-1].end_ms) == (one.start_ms, one.end_ms)
    assert len(shown) > 1


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


@st.composite
def talk(draw: st.DrawFn) -> list[Sentence]:
    """Sentences of up to two channels, consecutive within each channel, ordered by start time."""
    sentences: list[Sentence] = []
    ends = [0, 0]
    for one in draw(st.lists(sentence(), min_size=1, max_size=5)):
        channel = draw(st.integers(0, 1))
        shift = ends[channel] + draw(st.integers(0, 4000)) - one.start_ms
        words = tuple(replace(word, start_ms=word.start_ms + shift, end_ms=word.end_ms + shift) for word in one.words)
        sentences.append(Sentence(one.text, words[0].start_ms, words[-1].end_ms, 0.9, words, channel))
        ends[channel] = words[-1].end_ms
    return sorted(sentences, key=lambda item: (item.start_ms, item.channel))


def by_channel(shown: Sequence[Cue]) -> dict[int, list[Cue]]:
    channels: dict[int, list[Cue]] = defaultdict(list)
    for cue in shown:
        channels[cue.channel].append(cue)
    return channels


@given(talk(), st.integers(1, 2), st.sampled_from([None, 8, 30]))
def test_the_rules_hold_for_all_that_people_say(
    sentences: list[Sentence], max_lines: int, max_chars: int | None
) -> None:
    options = SubtitleOptions(max_chars, max_lines)
    shown = list(subtitles(sentences, options, channels=2))
    assert [cue.start_ms for cue in shown] == sorted(cue.start_ms for cue in shown)
    for channel, own in by_channel(shown).items():
        spoken_here = "".join(item.text for item in sentences if item.channel == channel)
        assert squeezed("".join(cue.text for cue in own)) == squeezed(spoken_here)
        for before, cue, after in zip([None, *own], own, [*own[1:], None], strict=False):
            assert cue.start_ms < cue.end_ms
            assert after is None or cue.end_ms <= after.start_ms
            if cue.end_ms - cue.start_ms < LEAST_MS:  # only where its neighbours leave no room
                assert after is not None
                assert cue.end_ms == after.start_ms
                assert cue.start_ms == (before.end_ms if before else 0)
    assert all(len(cue.lines) <= max_lines for cue in shown)


@given(sentence())
def test_a_line_is_too_wide_only_where_it_is_one_word(one: Sentence) -> None:
    for cue in subtitles([one], SubtitleOptions()):
        words = [word for word in one.words if word.text in cue.text]
        limit = max(line_width(one.text, SubtitleOptions()), *(width(word.text) + 2 for word in words))
        assert width(cue.text) <= limit


@given(talk())
def test_strict_parsers_read_the_same(sentences: list[Sentence]) -> None:
    wanted = [squeezed(cue.text) for cue in subtitles(sentences, SubtitleOptions(max_lines=2), channels=2)]
    options = SubtitleOptions(max_lines=2, speakers=False)
    by_srt = list(srt.parse("".join(as_srt(sentences, channels=2, options=options)), ignore_errors=False))
    assert [squeezed(item.content) for item in by_srt] == wanted
    by_vtt = webvtt.from_buffer(io.StringIO("".join(as_vtt(sentences, channels=2, options=options))))
    assert [squeezed(item.text) for item in by_vtt.captions] == wanted
    by_ass = pysubs2.SSAFile.from_string("".join(as_ass(sentences, channels=2, options=options)))
    assert [squeezed(event.plaintext) for event in by_ass] == wanted


@pytest.mark.parametrize("text", [r"a {\b1} b \N c", "<i>a</i> --> b & c"])
def test_markup_in_a_text_is_text(text: str) -> None:
    one = spoken(text, text)
    (event,) = pysubs2.SSAFile.from_string("".join(as_ass([one])))
    assert "{" not in event.text
    assert "\\" not in event.text
    assert "-->" not in "".join(as_vtt([one])).split("\n")[3]
