"""Hotwords: what is replaced, what is left alone, and that words and times stay whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.transcript.formats import sentence_object
from common.transcript.hotwords import check_together, corrected, merged, parsed, restored
from common.transcript.hotwords.correction import threshold
from common.transcript.hotwords.sounds import difference
from common.transcript.realign import SPOKEN
from common.transcript.text_rules import TextRules, as_spoken, finished
from common.transcript.values import Sentence, Word
from training.text import training_sentences

MEETING = Path(__file__).parents[3] / "samples" / "meeting.json"
TERMS = ("王晓明", "单田芳", "语音识别", "石墨烯", "欧阳娜娜", "Kubernetes", "DeepSeek", "GPU", "GPU服务器", "量子纠缠")


def said(text: str, confidence: float = 0.5) -> Sentence:
    """A sentence whose words are its characters, 100 ms each; Latin words count as one."""
    words = tuple(Word(item, i * 100, i * 100 + 100, confidence) for i, item in enumerate(SPOKEN.findall(text)))
    return Sentence(text, 0, words[-1].end_ms if words else 0, confidence, words)


@pytest.mark.parametrize(
    ("recognised", "hotwords", "text"),
    [
        ("请王小明来。", ["王晓明"], "请王晓明来。"),  # the same sound
        ("请黄小明来。", ["王晓明"], "请黄小明来。"),  # another
        ("请王晓敏来。", ["王晓明"], "请王晓明来。"),  # in/ing
        ("请章伟来。", ["张伟"], "请张伟来。"),
        ("请臧伟来。", ["张伟"], "请张伟来。"),  # zh/z
        ("他在成都吃饭。", ["程度"], "他在程度吃饭。"),
        ("这叫刘奶奶。", ["牛奶奶"], "这叫牛奶奶。"),  # n/l
        ("去湖建。", ["福建"], "去福建。"),  # f/h
        ("用蓝烧。", ["燃烧"], "用燃烧。"),  # r/l
        ("去南烧。", ["燃烧"], "去南烧。"),  # n/r are not near, although both are near l
        ("这是闲生的。", ["先声"], "这是先声的。"),  # en/eng
        ("说书的山田方。", ["单田芳"], "说书的单田芳。"),  # a surname's reading
        ("石墨西和十摸西。", ["石墨烯"], "石墨烯和石墨烯。"),
        ("石墨，西是什么。", ["石墨烯"], "石墨，西是什么。"),  # not across a comma
        ("欧阳那那来了。", ["欧阳娜娜", "娜娜"], "欧阳娜娜来了。"),  # the longest
        ("张伟明来了。", ["张伟", "张维民"], "张伟明来了。"),  # a hotword is not changed
        ("张伟明来了。", ["张伟", "张伟民"], "张伟民来了。"),  # but may be part of a longer one
        ("章三里在。", ["张三", "三李"], "张三李在。"),  # one correction makes the next possible
        ("部署 kubernetis 集群。", ["Kubernetes"], "部署 Kubernetes 集群。"),
        ("部署 kubernetes 集群。", ["Kubernetes"], "部署 Kubernetes 集群。"),
        ("deep seek 和 deepseak", ["DeepSeek"], "DeepSeek 和 DeepSeek"),
        ("买 g p u 服务其", ["GPU服务器", "GPU"], "买 GPU服务器"),
        ("买 gpu 服务其", ["GPU服务器"], "买 GPU服务器"),
        ("the docter said", ["doctor"], "the doctor said"),
        ("a dog", ["dig"], "a dog"),  # too short to be spelled wrong
        ("用吉特哈布管理。", ["吉特哈布=>GitHub"], "用GitHub管理。"),
        ("use git hap now", ["git hap=>GitHub"], "use GitHub now"),
        ("use git happy", ["git hap=>GitHub"], "use git happy"),  # whole words
        ("是非常之好", ["非常=>GitHub", "之好=>API"], "是GitHub API"),
    ],
)
def test_what_becomes_of_a_sentence(recognised: str, hotwords: list[str], text: str) -> None:
    before = said(recognised)
    after = corrected(before, tuple(hotwords))
    assert after.text == text
    assert (after is before) == (text == recognised)
    assert restored(after.words) == before.words
    assert corrected(after, tuple(hotwords)) is after


def test_times_are_kept_and_what_was_recognised_stays_beside_a_word() -> None:
    words = corrected(said("请王小明用deepseek和open ai。"), ("王晓明", "Deep Seek", "OpenAI")).words
    assert [(word.text, word.start_ms, word.end_ms) for word in words[1:]] == [
        ("王", 100, 200), ("晓", 200, 300), ("明", 300, 400), ("用", 400, 500),
        ("Deep", 500, 550), ("Seek", 550, 600), ("和", 600, 700), ("OpenAI", 700, 900),
    ]  # fmt: skip
    assert [word.replaced_from for word in words[1:]] == [None, "小", None, None, "deepseek", "", None, "open ai"]


@pytest.mark.parametrize(
    ("text", "confidence", "hotword", "replaced"),
    [
        ("王小明", 0.89, "王晓明", True),
        ("王小明", 0.91, "王晓明", False),
        ("王小明", 0.99, "王晓明:10", True),
        ("王小明", 0.63, "王晓明:1", False),
        ("王晓敏", 0.69, "王晓明", True),
        ("王晓敏", 0.71, "王晓明", False),
        ("kubernetis", 0.77, "Kubernetes", True),
        ("kubernetis", 0.79, "Kubernetes", False),
        ("kubernetes", 1.0, "Kubernetes:1", True),
        ("it", 0.91, "IT", False),  # an ordinary word
        ("it", 0.89, "IT", True),
        ("us a", 0.91, "USA", False),
        ("gpu", 1.0, "GPU:10", True),
        ("t恤", 1.0, "T恤:1", True),
        ("王小明", 1.0, "王小明=>王晓明", True),
    ],
)
def test_what_was_recognised_with_certainty_stays(text: str, confidence: float, hotword: str, replaced: bool) -> None:
    assert (corrected(said(text, confidence), (hotword,)).text != text) == replaced


@pytest.mark.parametrize(
    ("word", "text", "after", "replaced_from"),
    [
        ("kubernetis", "Kubernetis集群。", "Kubernetes集群。", "kubernetis"),
        ("openai", "Openai集群。", "OpenAI集群。", "openai"),
        ("GPU", "Gpu集群。", "GPU集群。", None),
        ("it", "It集群。", "IT集群。", "it"),
        ("apple", "Apple集群。", "Apple集群。", None),
        ("missing", "集群。", "集群。", None),
        ("kubernetis", "集群。", "集群。", None),  # the text does not have it
    ],
)
def test_a_sentence_begins_with_a_capital(word: str, text: str, after: str, replaced_from: str | None) -> None:
    words = tuple(Word(item, i * 100, i * 100 + 100, 0.5) for i, item in enumerate((word, "集", "群")))
    hotwords = ("Kubernetes", "OpenAI", "GPU", "IT", "apple")
    done = corrected(Sentence(text, 0, 300, 0.5, words), hotwords)
    assert (done.text, done.words[0].replaced_from) == (after, replaced_from)
    assert corrected(done, hotwords) is done
    assert restored(done.words) == words


def test_only_the_confidence_of_changed_words_counts() -> None:
    sure = said("王小明", 1.0)
    doubtful = Sentence("王小明", 0, 300, 0.9, (sure.words[0], Word("小", 100, 200, 0.4), sure.words[2]))
    assert corrected(doubtful, ("王晓明",)).text == "王晓明"


def test_a_heavier_hotword_and_a_nearer_sound_need_less_doubt() -> None:
    limits = [threshold(weight, 0.5) for weight in range(1, 11)]
    assert limits == sorted(set(limits))
    assert threshold(5, 0.0) > threshold(5, 0.3) > threshold(5, 0.6)


@pytest.mark.parametrize(
    ("left", "right", "apart"),
    [("zhang", "zang", 1), ("zhang", "zan", 2), ("ning", "lin", 2), ("na", "ra", None), ("fa", "ha", 1),
     ("ma", "mo", None), ("xiang", "xian", 1), ("dong", "don", None), ("ai", "ai", 0), ("ying", "yin", 1)],
)  # fmt: skip
def test_near_syllables(left: str, right: str, apart: int | None) -> None:
    assert difference(left, right) == difference(right, left) == apart


@pytest.mark.parametrize(
    "entry",
    ["字", "字" * 31, "  a ", "王晓明:0", "王晓明:11", "a=>bc", "ab=>", "ab=>ab", "a*b", "ab=>cd=>*", "。。", "a、b"],
)
def test_entries_that_make_no_sense(entry: str) -> None:
    with pytest.raises(ValueError, match=r"characters|weight|itself"):
        parsed(entry)


def test_entries() -> None:
    assert (parsed("王晓明").text, parsed("王晓明").weight) == ("王晓明", 5)
    assert (parsed("Deep  Seek : 8").text, parsed("Deep Seek:8").weight) == ("Deep Seek", 8)
    assert (parsed("吉特 => GitHub").wrong, parsed("吉特=>GitHub").text) == ("吉特", "GitHub")
    check_together(["张三", "章三=>张三"])
    with pytest.raises(ValueError, match="章三"):
        check_together(["章三", "章三=>张三"])
    with pytest.raises(ValueError, match="two"):
        check_together(["章三=>张三", "章三=>张山"])


def ordinary_sentences() -> list[str]:
    meeting = [sentence["text"] for sentence in json.loads(MEETING.read_text("utf-8"))["sentences"]]
    sentences = training_sentences(7)
    return [*meeting, *(next(sentences) for _ in range(300))]


def test_ordinary_text_is_left_alone() -> None:
    assert [text for text in ordinary_sentences() if corrected(said(text), TERMS).text != text] == []


def test_characters_without_a_reading_are_left_alone() -> None:
    assert corrected(said("㐀㐁䶮王小明"), ("王晓明",)).text == "㐀㐁䶮王晓明"


SYLLABLES = st.sampled_from(
    [*"章张长山单三山王黄小晓明敏名石十墨摸西烯伟为维民，。", "gpu", "g", "p", "u", "deep", "seek"]
)
PIECES = st.lists(st.tuples(SYLLABLES, st.floats(0, 1)), max_size=14)
LISTS = st.lists(
    st.sampled_from(["张伟", "张伟民:9", "王晓明", "三王", "单三", "石墨烯:10", "GPU", "Deep Seek:9", "墨西=>Mexico"]),
    max_size=5,
    unique=True,
)


def drawn(pieces: list[tuple[str, float]]) -> Sentence:
    text, words, now = "", [], 0
    for item, confidence in pieces:
        text += (" " if text[-1:].isascii() and item.isascii() else "") + item
        if item not in "，。":
            words.append(Word(item, now, now + 70, round(confidence, 4)))
            now += 90
    return Sentence(text, 0, now, 0.5, tuple(words))


@given(PIECES, LISTS)
def test_any_sentence_stays_whole(pieces: list[tuple[str, float]], hotwords: list[str]) -> None:
    before, listed = drawn(pieces), tuple(hotwords)
    after = corrected(before, listed)
    assert corrected(after, listed) == after
    times = [time for word in after.words for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert "".join(word.text for word in after.words) == "".join(c for c in after.text if c not in " ，。")
    assert "".join(word.text for word in restored(after.words)) == "".join(word.text for word in before.words)
    if not hotwords:
        assert after is before


@given(PIECES, LISTS)
def test_rules_can_be_undone_and_done_again(pieces: list[tuple[str, float]], hotwords: list[str]) -> None:
    rules = TextRules(itn=True, hotwords=tuple(hotwords), masked_words=("小",))
    after = finished(drawn(pieces), rules)
    assert finished(as_spoken(after), rules) == after
    assert "小" not in str(sentence_object(after))


def test_numbers_and_fillers_follow_hotwords() -> None:
    after = finished(said("嗯，石墨西涨了百分之五。"), TextRules(itn=True, remove_fillers=True, hotwords=("石墨烯",)))
    assert (after.text, after.spoken) == ("石墨烯涨了5%。", "嗯，石墨西涨了百分之五。")
    shown = sentence_object(after)["words"]
    assert [word.get("replaced_from") for word in shown[:5]] == [None, None, None, "西", None]


def test_a_masked_word_is_not_told_by_what_replaced_it() -> None:
    rules = TextRules(masked_words=("傻瓜", "王晓明"), hotwords=("王晓明", "傻瓜=>老王"))
    after = finished(said("傻瓜和王小明。"), rules)
    assert after.text == "**和***。"
    assert "傻" not in str(sentence_object(after))
    assert as_spoken(after).text == "**和王小明。"


ENTRIES = st.lists(
    st.sampled_from([*TERMS, "王晓明:8", "王小明=>王晓明", "王晓明=>王小明", "gpu=>GPU", "GPU=>显卡", "显卡:2", "Gpu"]),
    unique=True,
)


def together(entries: list[str]) -> bool:
    try:
        check_together(entries)
    except ValueError:
        return False
    return True


@given(ENTRIES.filter(together), ENTRIES.filter(together))
def test_merged_lists_do_not_contradict_each_other(own: list[str], listed: list[str]) -> None:
    result = merged(own, listed)
    check_together(list(result))
    assert set(own) <= set(result) <= {*own, *listed}
    if together([*own, *listed]):
        weighted = {parsed(entry).text for entry in own if parsed(entry).wrong is None}
        left_out = {*own, *listed} - set(result)
        assert {parsed(entry).text for entry in left_out} <= weighted, "only another weight is left out"


def test_of_two_lists_the_first_wins() -> None:
    assert merged(["王晓明:2"], ["王晓明:9", "张三"]) == ("张三", "王晓明:2")
    assert merged(["张三=>张珊"], ["张三", "李四"]) == ("张三=>张珊", "李四")
    assert merged(["张三"], ["张三=>张珊"]) == ("张三",)
    assert merged(["吉特=>GitHub"], ["吉特=>Git"]) == ("吉特=>GitHub",)
    assert merged(["Git=>GitHub"], ["吉特=>Git"]) == ("Git=>GitHub",)
