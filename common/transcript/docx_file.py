"""Transcripts as documents of Word: title, date, length, speakers, summary, and a paragraph for each turn.

python-docx makes the document without its turns. They are written into its body while it is sent, because its tree of a
long transcript would take many times the memory of the text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from common.transcript.documents import clock, in_paragraphs, opening, shares
from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import Sentence, Transcript
from common.transcript.zip_stream import ZipSink

if TYPE_CHECKING:
    from docx.document import Document

BODY = "word/document.xml"
SECTION = b"<w:sectPr"
# Word comes with it on Windows and macOS. Without a font for East Asian text, Word takes one for Japanese.
EAST_ASIAN_FONT = "Microsoft YaHei"
A4_MM = (210, 297)
# What XML 1.0 cannot hold
_FORBIDDEN = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_docx(head: Transcript, sentences: Iterable[Sentence], options: SubtitleOptions) -> Iterator[bytes]:
    """Yield the bytes of a docx file (ECMA-376), in pieces."""
    sink = ZipSink()
    with ZipFile(_frame(head, options)) as frame, ZipFile(sink, "w", ZIP_DEFLATED) as target:
        for member in frame.infolist():
            if member.filename != BODY:
                target.writestr(member, frame.read(member))
                yield sink.taken()
        before, section, after = frame.read(BODY).rpartition(SECTION)
        with target.open(BODY, "w") as body:
            body.write(before)
            for piece in _turns(head, sentences, options):
                body.write(piece.encode())
                if block := sink.taken():
                    yield block
            body.write(section + after)
    yield sink.taken()


def _turns(head: Transcript, sentences: Iterable[Sentence], options: SubtitleOptions) -> Iterator[str]:
    """Yield the paragraphs of the turns as WordprocessingML, sentence by sentence."""
    end = ""
    for sentence, text, begins in in_paragraphs(sentences):
        if begins:
            start = opening(sentence, head, options)
            yield end + "<w:p>" + (_run(start + " ", "<w:b/>") if start else "")
            end = "</w:p>"
        yield _run(text)
    yield end


def _run(text: str, properties: str = "") -> str:
    """Return a run; the hint gives quotation marks and dashes the East Asian font too."""
    fonts = f'<w:rPr><w:rFonts w:hint="eastAsia"/>{properties}</w:rPr>'
    return f'<w:r>{fonts}<w:t xml:space="preserve">{escape(_plain(text))}</w:t></w:r>'


def _frame(head: Transcript, options: SubtitleOptions) -> io.BytesIO:
    """Return the document up to its turns."""
    # Imported here: it takes a good part of the API's time to start, and most processes never need it.
    from docx import Document

    document = Document()
    _set_up(document)
    title = _plain(head.name or head.job_id)
    properties = document.core_properties
    properties.title, properties.author, properties.comments = title[:255], "Paraqueue", ""
    if head.created_at is not None:
        properties.created = properties.modified = head.created_at
    document.add_heading(title, level=0)
    date = f"{head.created_at:%Y-%m-%d %H:%M} UTC" if head.created_at is not None else ""
    document.add_paragraph(" · ".join(part for part in (date, clock(head.audio_ms), _plain(head.model)) if part))
    for speaker, share in shares(head, options):
        line = f"{_plain(speaker.label)}: {clock(speaker.speech_ms)} ({share:.0%})"
        document.add_paragraph(line, style="List Bullet")
    if head.summary is not None:
        document.add_heading("Summary", level=1)
        for line in head.summary.text.splitlines():
            if line.strip():
                document.add_paragraph(_plain(line))
        document.add_paragraph(f"({_plain(head.summary.origin)})")
        document.add_heading("Transcript", level=1)
    frame = io.BytesIO()
    document.save(frame)
    return frame


def _set_up(document: Document) -> None:
    """Set the page to A4, and the fonts and language of East Asian text in every style."""
    from docx.oxml.ns import qn
    from docx.shared import Mm

    for section in document.sections:
        section.page_width, section.page_height = map(Mm, A4_MM)
    styles = document.styles.element
    for fonts in styles.iter(qn("w:rFonts")):
        fonts.attrib.pop(qn("w:eastAsiaTheme"), None)  # it would win over the font's name
        fonts.set(qn("w:eastAsia"), EAST_ASIAN_FONT)
    for language in styles.iter(qn("w:lang")):
        language.set(qn("w:eastAsia"), "zh-CN")


def _plain(text: str) -> str:
    return _FORBIDDEN.sub("", text.replace("\n", " ").replace("\r", " "))
