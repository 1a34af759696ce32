"""What is done to a recognised sentence before it is stored: hotwords, masks, fillers, numbers, script.

The words keep their times and, except for hotwords and masked ones, their text; what was recognised stays beside the
text as `spoken`, and beside the word that a hotword replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from common.transcript import hotwords
from common.transcript.itn import normalized
from common.transcript.scripts import LETTER
from common.transcript.values import Sentence, Word
from common.transcript.word_places import Span, word_places

# Sounds of hesitation; 啊 and its like carry meaning inside a sentence and are removed only where they stand alone.
HESITATION = (
    "[嗯呃]+|(?<![^，。、？！；,.?! ])[啊哦噢额唔哎]+(?=[，。、？！；,.?! ]|$)"
    rf"|(?<!{LETTER})(?:um+|uh+|erm?|hmm+)(?!{LETTER})"
)
# Words that a speaker stutters; a doubled 看看 or 天天 is a word of its own and stays.
STUTTERED = (
    *["那个", "这个", "就是", "然后", "因为", "所以", "但是", "我们", "你们", "他们", "如果", "可以", "其实", "可能"],
    *"我你他她它这那就在是的有要会和",
    *["the", "a", "I", "to", "and", "we", "you"],
)
_REPEATED = re.compile(
    "|".join(
        rf"(?<!{LETTER}){re.escape(word)}(?:[， ,]+{re.escape(word)}(?!{LETTER}))+"
        if word.isascii()
        else f"{word}(?:[，、 ]*{word})+"
        for word in STUTTERED
    )
)
_HESITATION = re.compile(HESITATION, re.IGNORECASE)
_STOP = re.compile(r"[，、,；;。？！?!.]")
# Punctuation at the beginning, and a comma before another sign.
_BROKEN = re.compile(r"^[，、,；;。？！?!.\s]+|[，、,；;]\s*(?=[，、,；;。？！?!.])")


@dataclass(frozen=True, slots=True)
class TextRules:
    """What to do; by default nothing."""

    itn: bool = False
    remove_fillers: bool = False
    masked_words: tuple[str, ...] = ()
    traditional: bool = False
    hotwords: tuple[str, ...] = ()


NO_RULES = TextRules()


def finished(sentence: Sentence, rules: TextRules) -> Sentence:
    """Return a recognised sentence as it is stored. Its text is empty if it consisted of fillers alone."""
    if rules == NO_RULES:
        return sentence
    sentence = _hidden(sentence, rules.masked_words)
    spoken = sentence.text
    if rules.hotwords:
        # Masked again: a replacement may contain a masked word, but `replaced_from` must not.
        sentence = _hidden(hotwords.corrected(sentence, rules.hotwords), rules.masked_words)
    text, words = sentence.text, sentence.words
    if rules.remove_fillers:
        spans = list(_fillers(text))
        words = tuple(_marked(words, text, spans))
        text = _tidy(_without(text, spans), text)
    if rules.itn:
        text = normalized(text)
    if rules.traditional:
        text = _traditional()(text)
    return replace(sentence, text=text, words=words, spoken=None if text == spoken else spoken)


def as_spoken(sentence: Sentence) -> Sentence:
    """Return a stored sentence as it was before `finished`, except that masked words stay masked."""
    words = tuple(replace(word, filler=False) if word.filler else word for word in hotwords.restored(sentence.words))
    return replace(
        sentence, text=sentence.text if sentence.spoken is None else sentence.spoken, words=words, spoken=None
    )


def _hidden(sentence: Sentence, masked_words: tuple[str, ...]) -> Sentence:
    if not masked_words:
        return sentence
    pattern = _masked(masked_words)
    words = _with_masks(sentence.words, sentence.text, [match.span() for match in pattern.finditer(sentence.text)])
    return replace(sentence, text=pattern.sub(lambda match: "*" * len(match[0]), sentence.text), words=tuple(words))


def _fillers(text: str) -> Iterator[Span]:
    """Yield what to remove: hesitation, and of a stuttered word all but the last."""
    spans = [match.span() for match in _HESITATION.finditer(text)]
    for match in _REPEATED.finditer(text):
        word = next(word for word in STUTTERED if match[0].startswith(word) and match[0].endswith(word))
        spans.append((match.start(), match.end() - len(word)))
    reached = 0
    for start, end in sorted(spans):
        if end > reached:
            yield max(start, reached), end
            reached = end


def _without(text: str, spans: Iterable[Span]) -> str:
    kept, reached = [], 0
    for start, end in spans:
        kept.append(text[reached:start])
        reached = end
    return "".join(kept) + text[reached:]


def _tidy(text: str, before: str) -> str:
    """Remove punctuation that fillers left behind, and a text that is nothing but punctuation."""
    if text == before:
        return text
    if not _STOP.sub("", text).strip():
        return ""
    return re.sub(" {2,}", " ", _BROKEN.sub("", text)).strip()


def _marked(words: Iterable[Word], text: str, spans: list[Span]) -> Iterator[Word]:
    for word, place in word_places(words, text):
        inside = place is not None and any(start <= place[0] and place[1] <= end for start, end in spans)
        yield replace(word, filler=True) if inside else word


def _with_masks(words: Iterable[Word], text: str, spans: list[Span]) -> Iterator[Word]:
    for word, place in word_places(words, text):
        if place is None:
            yield word
            continue
        start = place[0]
        hidden = [any(low <= start + i < high for low, high in spans) for i in range(len(word.text))]
        masked = "".join("*" if hide else char for char, hide in zip(word.text, hidden, strict=True))
        yield replace(word, text=masked) if any(hidden) else word


@lru_cache(32)
def _masked(listed: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of the words, the longest first; those of scripts with spaces only as whole words."""
    longest_first = sorted(set(listed), key=lambda word: (-len(word), word))
    return re.compile("|".join(_whole(word) for word in longest_first), re.IGNORECASE)


def _whole(word: str) -> str:
    before = rf"(?<!{LETTER})" if re.match(LETTER, word[0]) else ""
    after = rf"(?!{LETTER})" if re.match(LETTER, word[-1]) else ""
    return before + re.escape(word) + after


@cache
def _traditional() -> Callable[[str], str]:
    from opencc import OpenCC  # type: ignore[import-untyped, unused-ignore]  # loads its dictionaries

    convert: Callable[[str], str] = OpenCC("s2t").convert
    return convert
