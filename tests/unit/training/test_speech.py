"""The synthesiser that tests and benchmarks take their audio from."""

from __future__ import annotations

import numpy as np

from training import speech

FIRST, SECOND = speech.HELD_OUT_VOICES[:2]


def test_speech_does_not_depend_on_what_was_spoken_before() -> None:
    alone = speech.synthesize("请把会议纪要发给我。", FIRST)
    speech.synthesize("明天的预算会议改到三点。", SECOND)
    again = speech.synthesize("请把会议纪要发给我。", FIRST)
    assert np.array_equal(alone.samples, again.samples)
    assert alone.marks == again.marks


def test_voices_and_texts_differ() -> None:
    one = speech.synthesize("请把会议纪要发给我。", FIRST).samples
    for other in (speech.synthesize("请把会议纪要发给我。", SECOND), speech.synthesize("明天的预算会议。", FIRST)):
        assert not np.array_equal(one, other.samples)
