"""Which speaker of a recording is which known voice. The same prints always give the same result."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from common.transcript.voice_prints import VoicePrint, similarity

LEAST_SPEECH_MS = 5_000
"""A speaker with less speech gets no name: a few windows say little about a voice."""

MARGIN = 0.05
"""How much more like its voice than like any other voice a speaker must be."""


@dataclass(frozen=True, slots=True)
class Match:
    """The voice that a speaker was recognised as, and their cosine."""

    voice_id: uuid.UUID
    similarity: float


def matched(
    speakers: Mapping[int, VoicePrint], voices: Mapping[uuid.UUID, VoicePrint], least_similarity: float
) -> dict[int, Match]:
    """Return the voice of each speaker that has one, by number; a voice goes to one speaker at most.

    A speaker's candidate is the voice most like it, if that is alike enough and no other voice is nearly as much. Of
    speakers with the same candidate the most similar one gets it, of equals the first; the others stay unnamed.
    """
    candidates: list[tuple[float, int, uuid.UUID]] = []
    for number, heard in speakers.items():
        if heard.speech_ms < LEAST_SPEECH_MS:
            continue
        scores = sorted(((similarity(heard, known), voice_id) for voice_id, known in voices.items()), reverse=True)
        second = scores[1][0] if len(scores) > 1 else -1.0
        if scores and scores[0][0] >= least_similarity and scores[0][0] - second >= MARGIN:
            candidates.append((-scores[0][0], number, scores[0][1]))
    found: dict[int, Match] = {}
    taken: set[uuid.UUID] = set()
    for negative, number, voice_id in sorted(candidates):
        if voice_id not in taken:
            taken.add(voice_id)
            found[number] = Match(voice_id, -negative)
    return found
