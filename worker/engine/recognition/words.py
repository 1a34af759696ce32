"""From tokens to words, as FunASR's `sentence_postprocess` joins them.

A Chinese character is a word. English comes in pieces: `@@` at the end of a piece joins it to the next.
Single letters that follow each other become one upper-case abbreviation. Two mistakes of FunASR are not
repeated: after an `<unk>`, and after a token that is neither Chinese nor Latin, it gives every following word
its neighbour's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp

from common.transcript.values import Word

_DROPPED, _CHARACTER, _PIECE, _LATIN, _OTHER = range(5)
_SPECIAL = ("<s>", "</s>", "<unk>", "<OOV>")


def _is_character(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff" or "0" <= char <= "9" or char == "@"


def _kind(token: str) -> int:
    """How a token is joined to its neighbours; FunASR's order of precedence."""
    if token in _SPECIAL or not token:
        return _DROPPED
    if all(map(_is_character, token)):
        return _CHARACTER
    if "@@" in token:
        return _PIECE
    if all((c.isalpha() and not _is_character(c)) or c == "'" for c in token):
        return _LATIN
    return _OTHER


class Vocabulary:
    """The tokens of a recognition model by id, each with the way it is joined."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self.kinds = [_kind(token) for token in self.tokens]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(slots=True)
class _Span:
    """Tokens that make up one word: their text, time, and the sum of their log-probabilities."""

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
    `log_probabilities` its natural logarithm of probability. An unfinished English piece at the end of a
    segment is dropped, and one before a Chinese character is joined to the next English piece, as FunASR
    does.
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
    """Spans in order, each with whether it is a Latin word (only those can be part of an abbreviation).

    A Chinese character after an unfinished piece is given the time of the piece, and the Latin word that is
    finished later begins where its last piece does: FunASR's times, which are those that results are compared with.
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
        pending.extend(token.replace("@@", ""), end, log_probability)
        held = (start, end)
        if kind == _LATIN:
            yield pending, True
            pending, held = None, None


def _join_letters(spans: list[tuple[_Span, bool]]) -> list[_Span]:
    """Runs of at least two single letters become one upper-case word."""
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
    """A span as words: one, unless characters beyond ASCII are mixed into it; then its time is divided
    evenly."""
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
    """The words that punctuation counts: each character beyond ASCII alone, ASCII between spaces together."""
    words: list[str] = []
    for part in text.split():
        run = ""
        for char in part:
            if char.isascii():
                run += char
                continue
            if run:
                words.append(run)
            words.append(char)
            run = ""
        if run:
            words.append(run)
    return words
