"""Which speaker is which known voice: alike enough, more than any other, once each, always the same."""

from __future__ import annotations

import math
import uuid

import pytest

from common.transcript.voice_prints import VoicePrint, combined, similarity, unit_print, unpacked
from common.voices.matching import LEAST_SPEECH_MS, MARGIN, matched

A, B, C = (uuid.UUID(int=number) for number in (1, 2, 3))
LONG = 60_000


def at(degrees: float, speech_ms: int = LONG) -> VoicePrint:
    """A print in a plane: the similarity of two is the cosine of the angle between them."""
    return VoicePrint((math.cos(math.radians(degrees)), math.sin(math.radians(degrees))), speech_ms)


def names(speakers: dict[int, VoicePrint], voices: dict[uuid.UUID, VoicePrint], least: float = 0.7) -> dict[int, int]:
    return {number: match.voice_id.int for number, match in matched(speakers, voices, least).items()}


def test_a_speaker_gets_the_voice_that_is_most_alike() -> None:
    found = matched({1: at(0), 2: at(90)}, {A: at(80), B: at(20)}, 0.7)
    assert {number: match.voice_id for number, match in found.items()} == {1: B, 2: A}
    assert found[1].similarity == pytest.approx(math.cos(math.radians(20)))


def test_a_stranger_stays_unnamed() -> None:
    assert names({1: at(0)}, {A: at(46)}) == {}
    assert names({1: at(0)}, {A: at(44)}) == {1: 1}
    assert names({1: at(0)}, {}) == {}
    assert names({}, {A: at(0)}) == {}


def test_a_speaker_between_two_voices_stays_unnamed() -> None:
    close = math.degrees(math.acos(1 - MARGIN / 2))
    assert names({1: at(0)}, {A: at(0), B: at(close)}) == {}
    clear = math.degrees(math.acos(1 - 2 * MARGIN))
    assert names({1: at(0)}, {A: at(0), B: at(clear)}) == {1: 1}


def test_a_voice_goes_to_one_speaker_the_most_similar() -> None:
    assert names({1: at(10), 2: at(5), 3: at(12)}, {A: at(0)}) == {2: 1}
    assert names({1: at(10), 2: at(5)}, {A: at(0), B: at(60)}) == {2: 1}, "the other gets no second choice"


def test_of_equals_the_first_speaker_gets_the_voice_whatever_the_order() -> None:
    speakers = {3: at(5), 1: at(5), 2: at(5)}
    assert names(speakers, {A: at(0)}) == {1: 1}
    assert names(dict(sorted(speakers.items())), {A: at(0)}) == {1: 1}


def test_of_equal_voices_none_is_chosen() -> None:
    assert names({1: at(0)}, {B: at(5), A: at(5)}) == {}
    assert names({1: at(0)}, {B: at(5), A: at(5), C: at(40)}) == {}


def test_who_says_little_gets_no_name() -> None:
    assert names({1: at(0, LEAST_SPEECH_MS - 1)}, {A: at(0)}) == {}
    assert names({1: at(0, LEAST_SPEECH_MS)}, {A: at(0)}) == {1: 1}


def test_a_print_is_stored_and_read_back() -> None:
    print_ = unit_print([3.0, 4.0, 0.0], 1234)
    read = unpacked(print_.packed(), 1234)
    assert read.vector == pytest.approx((0.6, 0.8, 0.0), abs=1e-7)
    assert similarity(read, print_) == pytest.approx(1.0)
    assert unit_print([0.0, 0.0], 1).vector == (0.0, 0.0)


def test_prints_are_weighted_by_their_speech() -> None:
    both = combined([at(0, 30_000), at(90, 10_000)])
    assert both.speech_ms == 40_000
    assert both.vector == pytest.approx((3 / math.sqrt(10), 1 / math.sqrt(10)))
    assert combined([at(7)]) == at(7)


def test_a_print_does_not_show_itself() -> None:
    assert repr(at(0, 5)) == "VoicePrint(speech_ms=5)"
