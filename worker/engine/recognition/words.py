"""Joins tokens to words, as FunASR's `sentence_postprocess` does.

A Chinese character is a word. English comes in pieces: `@@` at the end of a piece joins it to the next.
Consecutive single letters become one upper-case abbreviation. The result differs where FunASR garbles words:

- After an `<unk>`, and after a token that is neither Chinese nor Latin (`&`, `.`), FunASR gives every following word
  its neighbour's time, or raises IndexError. Here each word keeps its own time.
- FunASR writes the joiner of a digit (`1@@`) and a lone `@@` into the text. Here they are left out.
- FunASR gives characters outside the basic CJK block (`㐀`), and full-width Latin letters, as one word with a piece
  before them. Here each is a word, as in punctuation; a Latin word beyond ASCII (`café`) is one word in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp

from common.transcript.scripts import is_spaced
from common.transcript.values import Word

_DROPPED, _CHARACTER, _PIECE, _LATIN, _OTHER = range(5)
_SPECIAL = ("<s>", "</s>", "<unk>", "<OOV>")


def _is_character(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff" or "0" <= char <= "9" or char == "@"


def _kind(token: str) -> int:
    """How a token is joined to its neighbours; FunASR's order of precedence."""
    if token in _SPECIAL or not token.replace("@@", ""):
        return _DROPPED
    if all(map(_is_character, token)):
        return _CHARACTER
    if "@@" in token:
        return _PIECE
    if all((c.isalpha() and not _is_character(c)) or c == "'" for c in token):
        return _LATIN
    return _OTHER


class Vocabulary:
    """The tokens of a recognition model by id, each with its joining rule."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.kinds = [_kind(token) for token in tokens]
        self.tokens = [token.replace("@@", "") for token in tokens]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(slots=True)
class _Span:
    """Tokens that form one word: their text, time, and the sum of their log-probabilities."""

    text: str
    start_ms: int
    end_ms: int
    log_probability: float
    tokens: int

    def extend(self, text: str, end_ms: int, log_probability: float, tokens: int = 1) -> None:
        self.text += text
        self.end_ms = end_ms
        self.log_probability += log_probability
        self.tokens += tokens


def join_tokens(
    vocabulary: Vocabulary,
    ids: Sequence[int],
    times: Sequence[Sequence[int]],
    log_probabilities: Sequence[float],
) -> list[Word]:
    """The words of one segment.

    `ids` are token ids without blank, begin and end; `times` holds [begin, end] in milliseconds for each, and
    `log_probabilities` the natural logarithm of its probability. As in FunASR, an unfinished English piece at the
    end of a segment is dropped, and one before a Chinese character is joined to the next English piece.
    """
    kinds = vocabulary.kinds
    if all(kinds[i] == _CHARACTER for i in ids):  # most segments of Mandarin
        tokens = vocabulary.tokens
        return [
            Word(tokens[i], begin, end, min(exp(lp), 1.0))
            for i, (begin, end), lp in zip(ids, times, log_probabilities, strict=True)
        ]
    spans = _join_letters(list(_join_pieces(vocabulary, ids, times, log_probabilities)))
    return [word for span in spans for word in _as_words(span)]


def _join_pieces(
    vocabulary: Vocabulary,
    ids: Sequence[int],
    times: Sequence[Sequence[int]],
    log_probabilities: Sequence[float],
) -> Iterator[tuple[_Span, bool]]:
    """Spans in order, each with a flag for Latin words (only those can be part of an abbreviation).

    A Chinese character after an unfinished piece gets the time of the piece, and the Latin word that is finished
    later begins where its last piece does: these are FunASR's times, against which results are compared.
    """
    pending: _Span | None = None
    held: tuple[int, int] | None = None  # the time of pieces since the last character or word
    for token_id, (begin, end), log_probability in zip(ids, times, log_probabilities, strict=True):
        kind, token = vocabulary.kinds[token_id], vocabulary.tokens[token_id]
        if kind == _DROPPED:
            continue
        if kind == _OTHER:
            yield _Span(token, begin, end, log_probability, 1), False
            continue
        start, stop = held or (begin, end)
        if kind == _CHARACTER:
            yield _Span(token, start, stop, log_probability, 1), False
            held = None
            continue
        if pending is None:
            pending = _Span("", start, end, 0.0, 0)
        pending.start_ms = start
        pending.extend(token, end, log_probability)
        held = (start, end)
        if kind == _LATIN:
            yield pending, True
            pending, held = None, None


def _join_letters(spans: list[tuple[_Span, bool]]) -> list[_Span]:
    """Join runs of at least two single letters into one upper-case word."""
    joined: list[_Span] = []
    in_run = False
    for span, latin in spans:
        letter = latin and len(span.text) == 1 and span.text.isascii() and span.text.isalpha()
        if letter and in_run:
            joined[-1].text = joined[-1].text.upper()
            joined[-1].extend(span.text.upper(), span.end_ms, span.log_probability, span.tokens)
        else:
            joined.append(span)
        in_run = letter
    return joined


def _as_words(span: _Span) -> Iterator[Word]:
    """A span as words: one, unless it contains characters that are words; then its time is divided evenly."""
    confidence = min(exp(span.log_probability / span.tokens), 1.0)
    pieces = split_words(span.text)
    if len(pieces) == 1:
        yield Word(pieces[0], span.start_ms, span.end_ms, confidence)
        return
    length, done = sum(map(len, pieces)), 0
    for piece in pieces:
        start = span.start_ms + (span.end_ms - span.start_ms) * done // length
        done += len(piece)
        yield Word(piece, start, span.start_ms + (span.end_ms - span.start_ms) * done // length, confidence)


def split_words(text: str) -> list[str]:
    """The words of a text: each CJK character is one, as is each run of other characters between spaces."""
    words: list[str] = []
    for part in text.split():
        run = ""
        for char in part:
            if is_spaced(char):
                run += char
                continue
            if run:
                words.append(run)
            words.append(char)
            run = ""
        if run:
            words.append(run)
    return words
