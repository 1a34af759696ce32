"""Which tags belong to a sentence: those of the segments that its words come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.transcript.values import Sentence, Tags, Word, merged, tags_of


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment's first and last word's time in ms of the channel, and its tags."""

    start_ms: int
    end_ms: int
    tags: Tags


class Heard:
    """The tags of segments whose words are not all in sentences yet. A segment without words leaves none."""

    def __init__(self) -> None:
        self._segments: list[_Segment] = []

    def add(self, words: Sequence[Word], tags: Tags | None) -> None:
        """Take the words of the next segment (times in ms of the channel) and its tags, if the model gives any."""
        if words and tags is not None:
            self._segments.append(_Segment(words[0].start_ms, words[-1].end_ms, tags))

    def of(self, sentence: Sentence) -> Tags | None:
        """The tags of the next sentence."""
        begin, end = sentence.words[0].start_ms, sentence.words[-1].end_ms
        own = [each.tags for each in self._segments if each.start_ms < end and each.end_ms > begin]
        tags = merged(own or [each.tags for each in self._segments[:1]])
        self._segments = [each for each in self._segments if each.end_ms > end]
        return tags

    def state(self) -> list[list[Any]]:
        """The state for `restore`, as plain lists."""
        return [[each.start_ms, each.end_ms, each.tags.stored()] for each in self._segments]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Continue from a `state()`."""
        self._segments = [_Segment(start, end, tags_of(stored) or Tags()) for start, end, stored in state]
