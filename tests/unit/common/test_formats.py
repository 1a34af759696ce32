"""Transcripts in their five forms; how subtitles are broken is in test_subtitles.py."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.transcript.formats import MEDIA_TYPES, TEXT_FORMATS, Format, encoded, render, sentence_object
from common.transcript.values import Sentence, Transcript, Word, joined_text

HEAD = Transcript("tr_1", "demo-zh", "r1", "fp32", 20_000, 1000, channels=1, no_speech=False)


def spoken(text: str, *words: str, start_ms: int = 0, each_ms: int = 200, channel: int = 0) -> Sentence:
    timed = tuple(
        Word(word, start_ms + each_ms * i, start_ms + each_ms * (i + 1), 0.5) for i, word in enumerate(words or text)
    )
    return Sentence(text, timed[0].start_ms, timed[-1].end_ms, 0.5, timed, channel)


CHINESE = spoken("你好，世界。", *"你好世界")
ENGLISH = spoken("Hello there, world.", "Hello", "there", "world", start_ms=5000)
MIXED = spoken("我们用 API 开会。", "我", "们", "用", "API", "开", "会", start_ms=10_000)


def rendered(form: Format, *sentences: Sentence, head: Transcript = HEAD) -> str:
    return "".join(render(form, head, sentences))


def test_txt_is_a_sentence_a_line() -> None:
    wanted = "你好，世界。\nHello there, world.\n我们用 API 开会。\n"
    assert rendered(Format.TXT, CHINESE, ENGLISH, MIXED) == wanted


def test_srt() -> None:
    assert rendered(Format.SRT, CHINESE, ENGLISH) == (
        "1\n00:00:00,000 --> 00:00:01,000\n你好，世界。\n\n2\n00:00:05,000 --> 00:00:06,000\nHello there, world.\n\n"
    )


def test_vtt() -> None:
    assert rendered(Format.VTT, MIXED) == "WEBVTT\n\n00:00:10.000 --> 00:00:11.200\n我们用 API 开会。\n\n"


def test_vtt_escapes_its_markup() -> None:
    assert "a &lt;b&gt; &amp; --&gt; c" in rendered(Format.VTT, spoken("a <b> & --> c", "a", "b", "c"))


def test_hours_are_counted_on() -> None:
    late = spoken("你好。", *"你好", start_ms=(101 * 3600 + 59 * 60 + 59) * 1000 + 7)
    assert "101:59:59,007 --> 102:00:00,007" in rendered(Format.SRT, late)
    assert "101:59:59.007 --> 102:00:00.007" in rendered(Format.VTT, late)


def test_two_channels_are_told_apart() -> None:
    head = replace(HEAD, channels=2)
    both = [replace(CHINESE, channel=0), replace(ENGLISH, channel=1)]
    assert rendered(Format.TXT, *both, head=head) == "[1] 你好，世界。\n[2] Hello there, world.\n"
    assert "\n[2] Hello there, world.\n" in rendered(Format.SRT, *both, head=head)
    assert ",Default,Channel 2,0,0,0,,Hello there, world.\n" in rendered(Format.ASS, *both, head=head)
    assert "\n<v Channel 2>Hello there, world.\n" in rendered(Format.VTT, *both, head=head)
    assert [item["channel"] for item in json.loads(rendered(Format.JSON, *both, head=head))["sentences"]] == [0, 1]


def test_no_sentences() -> None:
    head = replace(HEAD, no_speech=True)
    assert rendered(Format.TXT, head=head) == ""
    assert rendered(Format.SRT, head=head) == ""
    assert rendered(Format.VTT, head=head) == "WEBVTT\n\n"
    assert rendered(Format.ASS, head=head).endswith("Effect, Text\n")
    body = json.loads(rendered(Format.JSON, head=head))
    assert (body["sentences"], body["text"], body["no_speech"]) == ([], "", True)


def test_json_of_audio_without_length_has_no_rtf() -> None:
    assert json.loads(rendered(Format.JSON, head=replace(HEAD, audio_ms=0)))["rtf"] is None
    assert json.loads(rendered(Format.JSON))["rtf"] == 0.05


def test_an_edited_sentence_keeps_its_times_and_its_new_text() -> None:
    edited = replace(CHINESE, text="您好，全世界！")
    assert rendered(Format.SRT, edited) == "1\n00:00:00,000 --> 00:00:01,000\n您好，全世界！\n\n"


def test_docx_is_the_only_form_that_is_not_text() -> None:
    assert set(Format) - set(TEXT_FORMATS) == {Format.DOCX}
    with pytest.raises(ValueError, match="not text"):
        rendered(Format.DOCX, CHINESE)


def test_every_form_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == set(Format)


WORD = st.one_of(
    st.sampled_from(list("我们今天开会讨论项目进度")), st.text(st.sampled_from("abcdeXY'-"), min_size=1, max_size=50)
)
MARK = st.sampled_from(["", "", "", "，", "。", "？", ", ", ". "])


@st.composite
def sentence(draw: st.DrawFn) -> Sentence:
    """Words with gaps and marks between them, joined as the punctuation joins them."""
    words: list[Word] = []
    text = ""
    now = draw(st.integers(0, 10_000_000))
    for spelled, mark in draw(st.lists(st.tuples(WORD, MARK), min_size=1, max_size=60)):
        now += draw(st.integers(0, 3000))
        end = now + draw(st.integers(1, 1500))
        words.append(Word(spelled, now, end, 0.9))
        now = end
        space = " " if text and text[-1].isascii() and not text.endswith(" ") and spelled[0].isascii() else ""
        text += space + spelled + mark
    return Sentence(text.strip(), words[0].start_ms, words[-1].end_ms, 0.9, tuple(words))


@given(st.lists(sentence(), max_size=5), st.integers(1, 2), st.booleans())
def test_json_says_the_same_as_the_values(all_of: list[Sentence], channels: int, partial: bool) -> None:
    head = replace(HEAD, channels=channels, partial=partial)
    body = json.loads(rendered(Format.JSON, *all_of, head=head))
    assert body["sentences"] == [sentence_object(one) for one in all_of]
    assert body["text"] == joined_text(all_of)
    assert (body["id"], body["channels"], body["partial"]) == ("tr_1", channels, partial)


@given(st.lists(sentence(), max_size=4))
def test_subtitles_parse(all_of: list[Sentence]) -> None:
    blocks = [block.split("\n") for block in rendered(Format.SRT, *all_of).split("\n\n") if block]
    assert [int(block[0]) for block in blocks] == list(range(1, len(blocks) + 1))
    time = r"\d{2,}:[0-5]\d:[0-5]\d,\d{3}"
    assert all(len(block) == 3 and re.fullmatch(f"{time} --> {time}", block[1]) for block in blocks)


@pytest.mark.parametrize("form", list(Format))
def test_rendering_is_lazy(form: Format) -> None:
    """A 10-hour transcript is never one string: the first piece comes before the last sentence is read."""
    read: list[int] = []

    def source() -> object:
        for number in range(100):
            read.append(number)
            yield CHINESE

    pieces = encoded(form, HEAD, source())  # type: ignore[arg-type]
    next(pieces), next(pieces)
    assert len(read) < 8
