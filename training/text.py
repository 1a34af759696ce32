"""Sentences of the demonstration corpus, their tokens, and the split into training and held-out sentences.

held_out_sentences(120, seed=3)     # sentences that training never saw, the same for the same seed
tokens_of("请看API。")               # ["请", "看", "a", "p", "i"]
plain("请看 API。")                  # "请看api": what error rates are counted on
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from random import Random

from training.patterns import PATTERNS
from training.vocabulary import GIVEN, LETTER_WORDS, SPLIT_WORDS, SURNAMES, TITLES, WHOLE_WORDS, WORDS

HELD_OUT_SHARE = 0.1
"""The share of all possible sentences that training never sees."""

LONGEST_SENTENCE = 44
"""Sentences with more tokens are not used."""

PUNCTUATION = "，。？、"
SPECIAL_TOKENS = ("<blank>", "<s>", "</s>")
UNKNOWN_TOKEN = "<unk>"

_DIGITS = "零一二三四五六七八九"
_SLOT = re.compile(r"\{(\w+)\}")
_PIECE = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")


def spoken_number(value: int) -> str:
    """`value` (0 to 99,999,999) as read aloud: 105 → 一百零五."""
    if value >= 10_000:
        rest = value % 10_000
        return spoken_number(value // 10_000) + "万" + _below_ten_thousand(rest, gap=True) * bool(rest)
    return _below_ten_thousand(value, gap=False) if value else _DIGITS[0]


def _below_ten_thousand(value: int, gap: bool) -> str:
    spoken, pending_zero = "", gap and value < 1000
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = value // unit % 10
        if digit == 0:
            pending_zero = pending_zero or bool(spoken)
            continue
        spoken += (_DIGITS[0] if pending_zero else "") + _DIGITS[digit] + name
        pending_zero = False
    return spoken[1:] if spoken.startswith("一十") else spoken


def _count(random: Random) -> str:
    value = random.randint(1, 30)
    return "两" if value == 2 else spoken_number(value)


def _clock(random: Random) -> str:
    hour = random.randint(1, 12)
    minute = random.choice(("", "", "半", "一刻", "十分", "二十分", "四十五分"))
    return ("两" if hour == 2 else spoken_number(hour)) + "点" + minute


def _money(random: Random) -> str:
    whole = random.choice((random.randint(3, 99), random.randint(1, 9) * 100, random.randint(3, 90) * 10_000))
    return spoken_number(whole) + random.choice(("元", "块钱"))


def _number(random: Random) -> str:
    return spoken_number(random.choice((random.randint(3, 99), random.randint(100, 999), random.randint(1000, 9999))))


def _person(random: Random) -> str:
    ending = random.choice(TITLES) if random.random() < 0.75 else random.choice(GIVEN)
    return random.choice(SURNAMES) + ending


_MAKERS: dict[str, Callable[[Random], str]] = {
    "count": _count,
    "clock": _clock,
    "money": _money,
    "number": _number,
    "person": _person,
    "surname": lambda random: random.choice(SURNAMES),
    "percent": lambda random: "百分之" + spoken_number(random.randint(1, 99)),
    "digits": lambda random: "".join(random.choice(_DIGITS) for _ in range(random.randint(4, 8))),
    "year": lambda random: "".join(_DIGITS[int(c)] for c in str(random.randint(1900, 2030))) + "年",
    "degrees": lambda random: random.choice(("零下", "", "")) + spoken_number(random.randint(3, 39)),
    "minutes": lambda random: spoken_number(random.choice((5, 10, 15, 20, 25, 30, 40, 50))),
    "score": lambda random: f"{spoken_number(random.randint(0, 9))}比{spoken_number(random.randint(0, 9))}",
}


def make_sentence(random: Random) -> str:
    """One random sentence, with punctuation, English words in their usual spelling (API, email)."""
    while True:
        pattern = random.choice(PATTERNS)
        fillings = [_fill(slot, random) for slot in _SLOT.findall(pattern)]
        sentence = _SLOT.sub("{}", pattern).format(*fillings)
        if len(tokens_of(sentence)) <= LONGEST_SENTENCE and len(set(fillings)) == len(fillings):
            return sentence


def _fill(slot: str, random: Random) -> str:
    maker = _MAKERS.get(slot)
    return maker(random) if maker else random.choice(WORDS[slot])


def is_held_out(sentence: str) -> bool:
    """Whether training must not use this sentence; depends on its text only.

    A pattern without slots is a single sentence whose characters may occur nowhere else, so it is never held out.
    """
    if sentence in PATTERNS:
        return False
    digest = hashlib.sha256(plain(sentence).encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def training_sentences(seed: int) -> Iterator[str]:
    """An endless stream of sentences for training; none of them is held out."""
    return _stream(seed, held_out=False)


def held_out_sentences(count: int, seed: int) -> list[str]:
    """`count` different sentences that training never saw; the same `seed` gives the same sentences."""
    sentences: dict[str, None] = {}
    for sentence in _stream(seed, held_out=True):
        if len(sentences) == count:
            break
        sentences.setdefault(sentence)
    return list(sentences)


def _stream(seed: int, held_out: bool) -> Iterator[str]:
    random = Random(seed)
    while True:
        sentence = make_sentence(random)
        if is_held_out(sentence) == held_out:
            yield sentence


def tokens_of(text: str) -> list[str]:
    """The recogniser's tokens of `text`: characters, English words or their pieces, single letters; no punctuation."""
    tokens: list[str] = []
    for piece in _PIECE.findall(text):
        if piece in PUNCTUATION:
            continue
        tokens.extend(_english_tokens(piece) if piece.isascii() else [piece])
    return tokens


def _english_tokens(word: str) -> tuple[str, ...]:
    if word in LETTER_WORDS:
        return tuple(word.lower())
    return SPLIT_WORDS.get(word.lower(), (word.lower(),))


def spoken_pieces(text: str) -> list[tuple[int, tuple[str, ...]]]:
    """Every spoken piece of `text`: its character offset and its tokens."""
    return [
        (match.start(), _english_tokens(piece) if piece.isascii() else (piece,))
        for match in _PIECE.finditer(text)
        if (piece := match.group()) not in PUNCTUATION
    ]


def words_of(text: str) -> list[tuple[str, str]]:
    """(word, the mark that follows it or "") for each written word, as punctuation is trained."""
    words: list[tuple[str, str]] = []
    for piece in _PIECE.findall(text):
        if piece in PUNCTUATION:
            words[-1] = (words[-1][0], piece)
        else:
            words.append((piece, ""))
    return words


def vocabulary() -> list[str]:
    """Every token that `make_sentence` can produce, sorted; without the special ones."""
    slots = {slot for pattern in PATTERNS for slot in _SLOT.findall(pattern)}
    written = [_SLOT.sub("", pattern) for pattern in PATTERNS]
    written += [word for slot in slots if slot in WORDS for word in WORDS[slot]]
    written += [*SURNAMES, *GIVEN, *TITLES, _DIGITS, "十百千万两点半一刻分元块钱百分之年零下比"]
    return sorted({token for text in written for token in tokens_of(text)} | set(WHOLE_WORDS))


def token_list() -> list[str]:
    """The recogniser's `tokens.json`: special tokens, the vocabulary, and `<unk>` last."""
    return [*SPECIAL_TOKENS, *vocabulary(), UNKNOWN_TOKEN]


def plain(text: str) -> str:
    """`text` without punctuation and spaces, English in lower case: what error rates are counted on."""
    return "".join(_PIECE.findall(text)).translate({ord(mark): None for mark in PUNCTUATION}).lower()
