"""Markdown, Word, CSV and text with times: what people read, and what a spreadsheet makes of it."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import docx
import pytest

from common.transcript.formats import DEFAULT_SUBTITLES, Format, encoded, render
from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import Sentence, Speaker, Transcript

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
SPEAKERS = (Speaker(1, "王_芳", 3000), Speaker(2, None, 1000))
SAID = [
    Sentence("你好。", 0, 1000, 0.9, (), speaker=1),
    Sentence("开会吧。", 1000, 3000, 0.9, (), speaker=1),
    Sentence("-5度，*好*。", 3_661_000, 3_662_000, 0.9, (), speaker=2),
]


def head(channels: int = 1, speakers: tuple[Speaker, ...] | None = SPEAKERS) -> Transcript:
    return Transcript("tr_1", "demo-zh", "r1", "fp32", 3_662_000, 10, channels, False, speakers=speakers)


def test_markdown_has_a_paragraph_per_turn() -> None:
    lines = "".join(render(Format.MD, head(), SAID)).splitlines()
    assert lines == [
        "# tr_1",
        "",
        "- 1:01:02 · demo-zh",
        r"- 王\_芳: 0:00:03 (75%)",
        "- Speaker 2: 0:00:01 (25%)",
        "",
        r"**\[0:00:00\] 王\_芳** 你好。开会吧。",
        "",
        r"**\[1:01:01\] Speaker 2** -5度，\*好\*。",
    ]


def test_markdown_names_channels_where_there_are_several() -> None:
    text = "".join(render(Format.MD, head(2, None), [Sentence("好。", 0, 1, 0.9, (), channel=1)]))
    assert r"**\[0:00:00\] Channel 2** 好。" in text


def test_csv_reads_back_and_holds_no_formula() -> None:
    text = "".join(render(Format.CSV, head(), SAID))
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [row["speaker"] for row in rows] == ["王_芳", "王_芳", "Speaker 2"]
    assert [row["start"] for row in rows] == ["0.000", "1.000", "3661.000"]
    assert rows[2]["text"] == "'-5度，*好*。"


def test_a_sentence_of_fillers_alone_makes_no_paragraph() -> None:
    text = "".join(render(Format.MD, head(1, None), [Sentence("", 0, 1, 0.9, ()), SAID[1]]))
    assert text.count("**") == 2


def test_a_long_turn_has_several_paragraphs() -> None:
    lecture = [Sentence("好。", at * 50_000, at * 50_000 + 900, 0.9, ()) for at in range(6)]
    lines = "".join(render(Format.MD, head(1, None), lecture)).splitlines()
    turns = [line for line in lines if "好" in line]
    assert turns == [r"**\[0:00:00\]** 好。好。好。", r"**\[0:02:30\]** 好。好。好。"]


def test_markdown_leaves_out_what_is_not_wanted() -> None:
    plain = SubtitleOptions(speakers=False, times=False)
    lines = "".join(render(Format.MD, head(), SAID, plain)).splitlines()
    assert lines == ["# tr_1", "", "- 1:01:02 · demo-zh", "", "你好。开会吧。", "", r"-5度，\*好\*。"]


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (SubtitleOptions(), "王_芳: 你好。", "Speaker 2: -5度，*好*。"),
        (SubtitleOptions(times=True), "[0:00:00] 王_芳: 你好。", "[1:01:01] Speaker 2: -5度，*好*。"),
        (SubtitleOptions(times=True, speakers=False), "[0:00:00] 你好。", "[1:01:01] -5度，*好*。"),
        (SubtitleOptions(speakers=False), "你好。", "-5度，*好*。"),
    ],
)
def test_lines_of_text_with_times_and_speakers(options: SubtitleOptions, first: str, last: str) -> None:
    lines = "".join(render(Format.TXT, head(), SAID, options)).splitlines()
    assert (lines[0], len(lines), lines[-1]) == (first, 3, last)


def test_text_names_nobody_who_is_not_known() -> None:
    options = SubtitleOptions(speakers=True)
    assert "".join(render(Format.TXT, head(1, None), SAID[:1], options)) == "你好。\n"


def docx_of(transcript: Transcript, sentences: list[Sentence], options: SubtitleOptions = DEFAULT_SUBTITLES) -> bytes:
    return b"".join(encoded(Format.DOCX, transcript, sentences, options))


def paragraphs(content: bytes) -> list[tuple[str, str]]:
    """Style and text of each paragraph, as python-docx reads them."""
    read = docx.Document(io.BytesIO(content)).paragraphs
    return [(item.style.name or "", item.text) for item in read if item.style]


def test_docx_has_title_speakers_and_turns() -> None:
    created = datetime(2026, 11, 28, 21, 40, tzinfo=UTC)
    content = docx_of(replace(head(), name="季度会议.mp3", created_at=created), SAID)
    assert paragraphs(content) == [
        ("Title", "季度会议.mp3"),
        ("Normal", "2026-11-28 21:40 UTC · 1:01:02 · demo-zh"),
        ("List Bullet", "王_芳: 0:00:03 (75%)"),
        ("List Bullet", "Speaker 2: 0:00:01 (25%)"),
        ("Normal", "[0:00:00] 王_芳 你好。开会吧。"),
        ("Normal", "[1:01:01] Speaker 2 -5度，*好*。"),
    ]
    document = docx.Document(io.BytesIO(content))
    assert [run.bold for run in document.paragraphs[4].runs] == [True, None, None]
    properties = document.core_properties
    assert (properties.title, properties.author, properties.comments) == ("季度会议.mp3", "Paraqueue", "")
    assert properties.created == created


def test_docx_without_times_and_speakers_or_a_name() -> None:
    content = docx_of(head(), SAID, SubtitleOptions(times=False, speakers=False))
    assert [text for _, text in paragraphs(content)] == ["tr_1", "1:01:02 · demo-zh", "你好。开会吧。", "-5度，*好*。"]


def test_docx_without_speech() -> None:
    assert [style for style, _ in paragraphs(docx_of(head(1, None), []))] == ["Title", "Normal"]


def test_docx_names_fonts_for_chinese_in_every_style_and_run() -> None:
    archive = zipfile.ZipFile(io.BytesIO(docx_of(head(), SAID)))
    assert archive.testzip() is None
    styles, body = (ElementTree.fromstring(archive.read(f"word/{part}.xml")) for part in ("styles", "document"))
    fonts = list(styles.iter(f"{W}rFonts"))
    assert {item.get(f"{W}eastAsia") for item in fonts} == {"Microsoft YaHei"}
    assert not any(item.get(f"{W}eastAsiaTheme") for item in fonts), "the theme's font would win"
    assert {item.get(f"{W}eastAsia") for item in styles.iter(f"{W}lang")} == {"zh-CN"}
    hints = [item.get(f"{W}hint") for item in body.iter(f"{W}rFonts")]
    assert hints == ["eastAsia"] * 5
    assert body[0][-1].tag == f"{W}sectPr", "the section's properties end the body"


HOSTILE = "a<b>&amp;\x00\x0b\ufffe]]>\n\"'\U0001f600 你"


def test_docx_holds_any_text() -> None:
    """Corrections and file names may contain what XML cannot hold."""
    speakers = (Speaker(1, HOSTILE, 1),)
    content = docx_of(replace(head(1, speakers), name=HOSTILE), [Sentence(HOSTILE, 0, 1, 0.9, (), speaker=1)])
    shown = "a<b>&amp;]]> \"'\U0001f600 你"
    assert [text for _, text in paragraphs(content)] == [
        shown,
        "1:01:02 · demo-zh",
        f"{shown}: 0:00:00 (100%)",
        f"[0:00:00] {shown} {shown}",
    ]


def test_docx_of_ten_hours_is_never_whole_in_memory() -> None:
    texts = ("".join(chr(0x4E00 + (at * 97 + i * 31) % 20_000) for i in range(20)) for at in range(18_000))
    said = (Sentence(text, at * 2000, 0, 0.9, (), speaker=at % 2 + 1) for at, text in enumerate(texts))
    sizes = [len(piece) for piece in encoded(Format.DOCX, head(), said)]
    assert max(sizes) < 128 * 1024 < sum(sizes)
