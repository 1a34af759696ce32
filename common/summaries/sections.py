"""Cuts transcripts into sections that a model can read in one call, at the ends of sentences. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.transcript.scripts import FIRST_UNSPACED
from common.transcript.values import Sentence, needs_space

CHARACTERS_PER_TOKEN = 3
MS_PER_MINUTE = 60_000
# The longest line, so that there are times in a long speech.
LINE_MS = MS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class TextSection:
    """Consecutive sentences as lines; `last` is the number of the last sentence, `end_ms` its end."""

    text: str
    last: int
    end_ms: int


def tokens_of(content: str) -> int:
    """Estimate the tokens of a text: one per Chinese character, one per three others, rounded up."""
    wide = sum(ord(character) >= FIRST_UNSPACED for character in content)
    return wide + math.ceil((len(content) - wide) / CHARACTERS_PER_TOKEN)


def text_sections(
    sentences: Iterable[Sentence], labels: Mapping[int, str], *, channels: int, budget: int
) -> Iterator[TextSection]:
    """Yield sections of at most `budget` estimated tokens, holding one in memory at a time.

    A line is up to a minute of what one speaker says, with the time and, if known, the speaker's name or the channel.
    A single sentence that exceeds the budget is shortened.
    """
    section = _Lines(budget)
    for sentence in sentences:
        if not sentence.text:
            continue
        who = labels.get(sentence.speaker or 0) or (f"Channel {sentence.channel + 1}" if channels > 1 else "")
        if not section.add(sentence, who):
            yield section.done()
            section = _Lines(budget)
            section.add(sentence, who)
    if section.lines:
        yield section.done()


class _Lines:
    """The lines of a section while it grows."""

    def __init__(self, budget: int) -> None:
        self.lines: list[str] = []
        self._budget = budget
        self._used = 0
        self._who = ""
        self._since_ms = 0
        self._last: Sentence | None = None

    def add(self, sentence: Sentence, who: str) -> bool:
        """Add a sentence; False if it does not fit. The first one always does."""
        goes_on = bool(self.lines) and who == self._who and sentence.start_ms - self._since_ms < LINE_MS
        if goes_on:
            piece = (" " if needs_space(self.lines[-1], sentence.text) else "") + sentence.text
        else:
            piece = shortened(_line(sentence, who), self._budget)
        cost = tokens_of(piece) + 1
        if self.lines and self._used + cost > self._budget:
            return False
        if goes_on:
            self.lines[-1] += piece
        else:
            self.lines.append(piece)
            self._who, self._since_ms = who, sentence.start_ms
        self._used += cost
        self._last = sentence
        return True

    def done(self) -> TextSection:
        """Return the section, which has a sentence."""
        assert self._last is not None
        assert self._last.number is not None
        return TextSection("\n".join(self.lines), self._last.number, self._last.end_ms)


def groups(texts: Sequence[str], *, budget: int) -> Iterator[range]:
    """Yield the places of texts that are merged together: as many as fit, but at least two if there are two."""
    start = 0
    while start < len(texts):
        end, used = start + 1, tokens_of(texts[start])
        while end < len(texts) and (end - start < 2 or used + tokens_of(texts[end]) <= budget):
            used += tokens_of(texts[end])
            end += 1
        yield range(start, end)
        start = end


def shortened(content: str, budget: int) -> str:
    """Return a text, or if it has more estimated tokens than the budget, its beginning."""
    return content if tokens_of(content) < budget else content[: max(1, budget - 2)] + "…"


def _line(sentence: Sentence, who: str) -> str:
    minutes, ms = divmod(sentence.start_ms, MS_PER_MINUTE)
    hours, minutes = divmod(minutes, 60)
    time = f"[{hours}:{minutes:02}:{ms // 1000:02}]"
    return f"{time} {who}: {sentence.text}" if who else f"{time} {sentence.text}"
