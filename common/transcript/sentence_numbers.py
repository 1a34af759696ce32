"""Numbers of sentences, which are their ids, and the places that the numbers stand for.

The machine numbers its sentences from 0, in order. A sentence that people split off gets a number made of the machine's
sentence and the word at which it begins. So no number ever changes or passes to another place, whatever is split or
merged, and a cursor that names a sentence which is gone still says where to go on.
"""

from __future__ import annotations

FIRST_SPLIT_OFF = 1_000_000_000
WORDS_PER_SENTENCE = 10_000
MOST_SENTENCES = 100_000
LAST_SPLIT_OFF = FIRST_SPLIT_OFF + MOST_SENTENCES * WORDS_PER_SENTENCE - 1
# The largest number that a call may name, also as the one to continue after. Numbers are 32-bit, and so is the next.
LAST_NUMBER = 2_000_000_000


def number_at(sentence: int, word: int) -> int:
    """Return the number of the sentence that begins at a word of a machine's sentence, both counted from 0.

    Raises ValueError where there is none: numbers have 32 bits.
    """
    if word == 0:
        return sentence
    if sentence >= MOST_SENTENCES or word >= WORDS_PER_SENTENCE:
        raise ValueError(f"no sentence can begin at word {word} of sentence {sentence}")
    return FIRST_SPLIT_OFF + sentence * WORDS_PER_SENTENCE + word


def begins_at(number: int) -> tuple[int, int]:
    """Return the machine's sentence and the word of it at which a sentence begins."""
    if number < FIRST_SPLIT_OFF:
        return number, 0
    return divmod(number - FIRST_SPLIT_OFF, WORDS_PER_SENTENCE)


def place_of(number: int) -> int:
    """Return a key that orders sentences as they were spoken."""
    sentence, word = begins_at(number)
    return sentence * WORDS_PER_SENTENCE + word
