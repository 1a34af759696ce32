"""Fillers, numbers, masks and traditional characters: what changes, and what stays beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from common.transcript.formats import sentence_object
from common.transcript.subtitles import SubtitleOptions, subtitles
from common.transcript.text_rules import NO_RULES, TextRules, as_spoken, finished
from common.transcript.values import Sentence, Word

FILLERS = TextRules(remove_fillers=True)


def said(text: str) -> Sentence:
    """A sentence whose words are its characters, 100 ms each; Latin words count as one."""
    from common.transcript.realign import SPOKEN

    words = tuple(Word(item, i * 100, i * 100 + 100, 0.9) for i, item in enumerate(SPOKEN.findall(text)))
    return Sentence(text, 0, words[-1].end_ms if words else 0, 0.9, words)


@pytest.mark.parametrize(
    ("spoken", "text"),
    [
        ("嗯，我觉得可以。", "我觉得可以。"),
        ("我，呃，觉得可以。", "我，觉得可以。"),
        ("那个那个文件在这里。", "那个文件在这里。"),
        ("我我我想说。", "我想说。"),
        ("就是，就是这样。", "就是这样。"),
        ("然后然后然后我们我们走了。", "然后我们走了。"),
        ("啊，原来是这样。", "原来是这样。"),
        ("这样啊，好的。", "这样啊，好的。"),
        ("你看看，慢慢来，天天这样。", "你看看，慢慢来，天天这样。"),
        ("嗯。", ""),
        ("嗯嗯，啊。", ""),
        ("um I I think so", "I think so"),
        ("the umbrella", "the umbrella"),
        ("我um觉得the the文件可以。", "我觉得the文件可以。"),
        ("是的。", "是的。"),
        ("我觉得嗯。", "我觉得。"),
    ],
)
def test_fillers_leave_the_text_and_stay_in_the_words(spoken: str, text: str) -> None:
    before = said(spoken)
    after = finished(before, FILLERS)
    assert after.text == text
    assert [word.text for word in after.words] == [word.text for word in before.words]
    assert any(word.filler for word in after.words) == (text != spoken)
    assert after.spoken == (spoken if text != spoken else None)


def test_the_last_of_stuttered_words_is_no_filler() -> None:
    words = finished(said("那个那个文件"), FILLERS).words
    assert [word.filler for word in words] == [True, True, False, False, False, False]


def test_numbers_become_digits_while_words_keep_text_and_times() -> None:
    before = said("涨了百分之五。")
    after = finished(before, TextRules(itn=True))
    assert (after.text, after.spoken, after.words) == ("涨了5%。", "涨了百分之五。", before.words)
    shown = sentence_object(after)
    assert (shown["text"], shown["text_spoken"]) == ("涨了5%。", "涨了百分之五。")
    assert "text_spoken" not in sentence_object(before)


def test_masked_words_are_nowhere() -> None:
    after = finished(said("这个傻瓜说 Damn 和 damnation。"), TextRules(masked_words=("傻瓜", "damn")))
    assert after.text == "这个**说 **** 和 damnation。"
    assert "傻" not in "".join(word.text for word in after.words)
    assert "傻瓜" not in str(sentence_object(after))
    assert as_spoken(after).text == after.text


def test_words_of_other_alphabets_are_masked_as_a_whole_only() -> None:
    rules = TextRules(masked_words=("über", "мат"))
    assert finished(said("darüber über математика мат。"), rules).text == "darüber **** математика ***。"


def test_the_longest_masked_word_wins() -> None:
    assert finished(said("大傻瓜"), TextRules(masked_words=("傻瓜", "大傻瓜"))).text == "***"


def test_traditional_characters() -> None:
    after = finished(said("后台软件很干净，头发长了。"), TextRules(traditional=True))
    assert after.text == "後臺軟件很乾淨，頭髮長了。"
    assert after.spoken == "后台软件很干净，头发长了。"


def test_rules_can_be_undone_and_done_again() -> None:
    rules = TextRules(itn=True, remove_fillers=True, traditional=True)
    before = said("嗯，一共二十三个。")
    after = finished(before, rules)
    assert after.text == "一共23個。"
    assert as_spoken(after) == before
    assert finished(as_spoken(after), rules) == after


def test_without_rules_nothing_happens() -> None:
    before = said("嗯，二十三。")
    assert finished(before, NO_RULES) is before


def test_subtitles_of_digits_keep_the_times_of_the_words() -> None:
    after = finished(said("我们今天涨了百分之三十五点二，大家都很高兴。"), TextRules(itn=True))
    cues = list(subtitles([after], SubtitleOptions(max_chars=12), channels=1))
    assert "".join(line for cue in cues for line in cue.lines) == after.text
    assert cues[0].start_ms == 0
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    assert cues[-1].end_ms >= after.words[-1].end_ms


def test_a_sentence_of_fillers_alone_makes_no_subtitle() -> None:
    empty = finished(said("嗯。"), FILLERS)
    later = replace(said("你好啊朋友们。"), start_ms=0)
    cues = list(subtitles([empty, later], SubtitleOptions(), channels=1))
    assert [cue.lines for cue in cues] == [("你好啊朋友们。",)]


@pytest.mark.parametrize(
    ("spoken", "text", "masked", "after"),
    [
        (("damn", "good"), "Damn good.", "damn", ["****", "good"]),
        (("gpu", "傻", "瓜", "gpu"), "Gpu傻瓜gpu。", "傻瓜", ["gpu", "*", "*", "gpu"]),
    ],
)
def test_masks_where_a_sentence_begins_with_a_capital(
    spoken: tuple[str, ...], text: str, masked: str, after: list[str]
) -> None:
    words = tuple(Word(item, i * 100, i * 100 + 100, 0.9) for i, item in enumerate(spoken))
    done = finished(Sentence(text, 0, 400, 0.9, words), TextRules(masked_words=(masked,)))
    assert [word.text for word in done.words] == after
