"""Turns: who speaks from when to when, and so who said each word.

A window speaks for the time around its middle, up to half-way to the middles of its neighbours. That is exact to about
half a second, so each change of speakers is moved to the best gap between words nearby: a long one, at best between
two sentences. A sentence in which the speaker changes is cut there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from common.transcript.values import Sentence, Word
from common.transcript.word_places import word_places
from worker.engine.speakers.clustering import ANY_NUMBER, Labels, Wanted, cluster
from worker.engine.speakers.windows import Windows

MOST_MOVED_MS = 900
"""How far a change of speakers may be moved to a gap between words."""

SENTENCE_BONUS_MS = 700
"""A gap between two sentences is chosen over one inside a sentence that is nearer by less than this."""

MOST_GAP_MS = 600
"""Longer gaps between words count as this long."""

SHORTEST_TURN_MS = 400
"""A shorter turn between two others is taken for a mistake."""

NEAR_MS = 500
"""A turn counts for words up to this far outside of it, before the words are given to the nearest turn."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch of speech of one speaker, who is numbered from 1."""

    channel: int
    start_ms: int
    end_ms: int
    speaker: int


@dataclass(slots=True)
class _Said:
    """A word, its sentence's place in the transcript, and its speaker."""

    word: Word
    sentence: int
    speaker: int


def find_turns(windows: Windows, wanted: Wanted = ANY_NUMBER) -> list[Turn]:
    """Return the turns of a recording's windows (RECORD [n], ordered by channel and time), by channel and time."""
    return turns_of(windows, find_speakers(windows, wanted))


def find_speakers(windows: Windows, wanted: Wanted = ANY_NUMBER) -> Labels:
    """Return the speaker of each of a recording's windows, numbered from 1; int64 [n].

    Windows of all channels are compared with each other: a person heard on two channels is one speaker.
    """
    if not len(windows):
        return np.zeros(0, np.int64)
    return cluster(windows["embedding"], _ends_run(windows), wanted) + 1


def _ends_run(windows: Windows) -> NDArray[np.bool_]:
    """Whether the next window is of another channel, or does not follow without a pause; bool [n]."""
    apart = windows["start_ms"][1:] > windows["end_ms"][:-1]
    return np.append(apart | (windows["channel"][1:] != windows["channel"][:-1]), True)


def turns_of(windows: Windows, speakers: Labels) -> list[Turn]:
    """Return the turns of windows whose speakers are known, by channel and time."""
    if not len(windows):
        return []
    starts, ends = windows["start_ms"].astype(np.int64), windows["end_ms"].astype(np.int64)
    middles = (starts + ends) // 2
    between = (middles[1:] + middles[:-1]) // 2
    last = _ends_run(windows)
    until = np.where(last, ends, np.append(between, 0))
    since = np.where(np.append(True, last[:-1]), starts, np.append(0, between))
    joined: list[Turn] = []
    for i, speaker in enumerate(speakers):
        turn = Turn(int(windows["channel"][i]), int(since[i]), int(until[i]), int(speaker))
        if i and not last[i - 1] and joined[-1].speaker == turn.speaker:
            joined[-1] = replace(joined[-1], end_ms=turn.end_ms)
        else:
            joined.append(turn)
    return joined


def attribute(sentences: Sequence[Sentence], turns: Sequence[Turn]) -> list[list[Sentence]]:
    """For each sentence the sentences that it becomes, with their speakers: one, or several if it is cut.

    A sentence whose text does not consist of its words any more is not cut, and neither is any if there are no turns.
    """
    speakers: list[list[int]] = [[] for _ in sentences]
    for channel in {sentence.channel for sentence in sentences}:
        channel_turns = [turn for turn in turns if turn.channel == channel]
        if channel_turns:
            for word in _attributed(_words(sentences, channel), channel_turns):
                speakers[word.sentence].append(word.speaker)
    return [list(_pieces(sentence, of)) for sentence, of in zip(sentences, speakers, strict=True)]


def numbering(sentences: Sequence[Sequence[Sentence]]) -> dict[int, int]:
    """The numbers of the speakers of sentences, from 1 in the order in which they begin to speak."""
    numbers: dict[int, int] = {}
    for piece in sorted((piece for each in sentences for piece in each), key=lambda piece: piece.start_ms):
        if piece.speaker is not None:
            numbers.setdefault(piece.speaker, len(numbers) + 1)
    return numbers


def numbered(sentences: Sequence[Sequence[Sentence]], numbers: Mapping[int, int]) -> list[list[Sentence]]:
    """The same sentences with the numbers that their speakers get."""
    return [
        [replace(piece, speaker=None if piece.speaker is None else numbers[piece.speaker]) for piece in each]
        for each in sentences
    ]


def _words(sentences: Sequence[Sentence], channel: int) -> list[_Said]:
    return [
        _Said(word, number, 0)
        for number, sentence in enumerate(sentences)
        if sentence.channel == channel
        for word in sentence.words
    ]


def _attributed(words: list[_Said], turns: Sequence[Turn]) -> list[_Said]:
    """The same words of one channel with their speakers."""
    starts = [turn.start_ms for turn in turns]
    for item in words:
        item.speaker = _speaker_at(turns, starts, (item.word.start_ms + item.word.end_ms) // 2)
    for change in _changes(words):
        _move(words, change)
    _smooth(words)
    return words


def _speaker_at(turns: Sequence[Turn], starts: Sequence[int], at_ms: int) -> int:
    """Return the speaker of the turn at a time, or of the nearest one; on a tie, the earlier turn wins."""
    after = bisect_right(starts, at_ms)
    nearby = turns[max(0, after - 1) : after + 1]
    return min(nearby, key=lambda turn: max(turn.start_ms - at_ms, at_ms - turn.end_ms, 0)).speaker


def _changes(words: Sequence[_Said]) -> list[int]:
    """The places of the words before which the speaker changes."""
    return [i for i in range(1, len(words)) if words[i].speaker != words[i - 1].speaker]


def _move(words: list[_Said], change: int) -> None:
    """Move one change of speakers to the best gap between words nearby, not past another change."""
    before, after = words[change - 1].speaker, words[change].speaker
    if before == after:
        return
    at_ms = (words[change - 1].word.end_ms + words[change].word.start_ms) // 2
    best, least = change, _cost(words, change, at_ms)
    for step in (-1, 1):
        inside = before if step < 0 else after
        place = change + step
        while 0 < place < len(words) and words[place - 1 if step > 0 else place].speaker == inside:
            cost = _cost(words, place, at_ms)
            if cost is None:
                break
            if least is None or cost < least:
                best, least = place, cost
            place += step
    for place in range(min(best, change), max(best, change)):
        words[place].speaker = after if best < change else before


def _cost(words: Sequence[_Said], place: int, at_ms: int) -> float | None:
    """What speaks against a change before a word, in ms; None if it is too far away."""
    left, right = words[place - 1], words[place]
    gap = (left.word.end_ms, right.word.start_ms)
    distance = max(gap[0] - at_ms, at_ms - gap[1], 0)
    if distance > MOST_MOVED_MS:
        return None
    bonus = SENTENCE_BONUS_MS if left.sentence != right.sentence else 0
    return distance - bonus - min(gap[1] - gap[0], MOST_GAP_MS)


def _smooth(words: list[_Said]) -> None:
    """Give very short turns inside a stretch of words to the neighbour that is nearer in time."""
    for start, end in pairwise(_changes(words)):
        if words[end - 1].word.end_ms - words[start].word.start_ms >= SHORTEST_TURN_MS:
            continue
        before = words[start].word.start_ms - words[start - 1].word.end_ms
        after = words[end].word.start_ms - words[end - 1].word.end_ms
        if min(before, after) < NEAR_MS:
            speaker = words[start - 1 if before <= after else end].speaker
            for item in words[start:end]:
                item.speaker = speaker


def _pieces(sentence: Sentence, speakers: Sequence[int]) -> Iterator[Sentence]:
    """The sentence with its speaker, or its parts if its words have several."""
    if not speakers:
        yield sentence
        return
    groups = [(speaker, len(list(group))) for speaker, group in groupby(speakers)]
    starts = _text_starts(sentence) if len(groups) > 1 else None
    if starts is None:
        yield replace(sentence, speaker=Counter(speakers).most_common(1)[0][0])
        return
    first = 0
    for number, (speaker, count) in enumerate(groups):
        words = sentence.words[first : first + count]
        begin = 0 if number == 0 else starts[first]
        end = starts[first + count] if number + 1 < len(groups) else len(sentence.text)
        yield replace(
            sentence,
            text=sentence.text[begin:end].strip(),
            start_ms=words[0].start_ms,
            end_ms=words[-1].end_ms if number + 1 < len(groups) else sentence.end_ms,
            confidence=sum(word.confidence for word in words) / count,
            words=words,
            speaker=speaker,
        )
        first += count


def _text_starts(sentence: Sentence) -> list[int] | None:
    """Where each word begins in the text; None if the text has been changed and does not hold them in order."""
    places = [place for _, place in word_places(sentence.words, sentence.text)]
    starts = [place[0] for place in places if place is not None]
    return starts if len(starts) == len(places) else None
