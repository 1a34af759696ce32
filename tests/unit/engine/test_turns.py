"""Turns of made-up windows, and the words that they give to speakers."""

from __future__ import annotations

import numpy as np
import pytest

from common.transcript.values import Sentence, Word
from worker.engine.speakers.turns import Turn, attribute, find_turns
from worker.engine.speakers.windows import RECORD, Windows


def windows(*rows: tuple[int, int, int, int]) -> Windows:
    """Windows of (channel, start, end, voice); voices are orthogonal."""
    made = np.zeros(len(rows), RECORD)
    for record, (channel, start, end, voice) in zip(made, rows, strict=True):
        record["channel"], record["start_ms"], record["end_ms"] = channel, start, end
        record["embedding"][voice] = 2
    return made


def sentence(text: str, *times: int, channel: int = 0) -> Sentence:
    """A sentence of one word per character that is no punctuation; word i lasts from `times[i]` for 200 ms."""
    spoken = [character for character in text if character not in "，。"]
    words = tuple(Word(character, at, at + 200, 0.5) for character, at in zip(spoken, times, strict=True))
    return Sentence(text, words[0].start_ms, words[-1].end_ms + 50, 0.5, words, channel)


def shown(pieces: list[list[Sentence]]) -> list[list[tuple[str, int | None]]]:
    return [[(piece.text, piece.speaker) for piece in each] for each in pieces]


def test_a_window_speaks_for_the_time_around_its_middle() -> None:
    found = find_turns(
        windows(
            (0, 0, 1500, 0),
            (0, 1500, 3000, 0),
            (0, 3000, 4500, 1),
            (0, 3500, 5000, 1),
            (0, 9000, 10500, 0),
            (0, 9100, 10600, 0),
        )
    )
    assert found == [Turn(0, 0, 3000, 1), Turn(0, 3000, 5000, 2), Turn(0, 9000, 10600, 1)]


def test_somebody_on_two_channels_is_one_speaker() -> None:
    rows = windows(
        (0, 0, 1500, 3), (0, 1500, 3000, 3), (1, 0, 1500, 5), (1, 1500, 3000, 5), (1, 4000, 5500, 3), (1, 5500, 7000, 3)
    )
    assert [(turn.channel, turn.speaker) for turn in find_turns(rows)] == [(0, 1), (1, 2), (1, 1)]


def test_no_windows_no_turns() -> None:
    assert find_turns(np.zeros(0, RECORD)) == []
    assert shown(attribute([sentence("你好。", 0, 200)], [])) == [[("你好。", None)]]


def test_a_sentence_of_two_speakers_is_cut_at_the_word() -> None:
    said = sentence("你去吗，我去。", 0, 200, 400, 1000, 1200)
    (pieces,) = attribute([said], [Turn(0, 0, 800, 1), Turn(0, 800, 2000, 2)])
    assert [(piece.text, piece.speaker, piece.start_ms, piece.end_ms) for piece in pieces] == [
        ("你去吗，", 1, 0, 600),
        ("我去。", 2, 1000, said.end_ms),
    ]
    assert sum((piece.words for piece in pieces), ()) == said.words


def test_a_change_moves_to_the_longest_gap_nearby() -> None:
    said = sentence("一二三四五六。", 0, 200, 400, 900, 1100, 1300)
    assert shown(attribute([said], [Turn(0, 0, 1100, 1), Turn(0, 1100, 3000, 2)])) == [[("一二三", 1), ("四五六。", 2)]]


def test_a_change_moves_to_the_end_of_a_sentence() -> None:
    said = [sentence("一二三。", 0, 200, 400), sentence("四五六。", 620, 820, 1020)]
    turns = [Turn(0, 0, 300, 1), Turn(0, 300, 3000, 2)]
    assert shown(attribute(said, turns)) == [[("一二三。", 1)], [("四五六。", 2)]]


def test_a_change_does_not_move_past_a_second() -> None:
    said = sentence("一二三四五六七八九。", *range(0, 3600, 400))
    turns = [Turn(0, 0, 1150, 1), Turn(0, 1150, 2350, 2), Turn(0, 2350, 9000, 1)]
    assert shown(attribute([said], turns)) == [[("一二三", 1), ("四五六", 2), ("七八九。", 1)]]


def test_a_very_short_turn_is_a_mistake() -> None:
    said = sentence("一二三四五。", 0, 200, 400, 600, 800)
    turns = [Turn(0, 0, 400, 1), Turn(0, 400, 600, 2), Turn(0, 600, 3000, 1)]
    assert shown(attribute([said], turns)) == [[("一二三四五。", 1)]]


def test_a_word_outside_of_all_turns_goes_to_the_nearest() -> None:
    said = [sentence("早", 0), sentence("晚", 9000)]
    assert shown(attribute(said, [Turn(0, 1000, 2000, 1), Turn(0, 3000, 4000, 2)])) == [[("早", 1)], [("晚", 2)]]


def test_channels_are_attributed_apart() -> None:
    said = [sentence("甲", 0), sentence("乙", 50, channel=1)]
    assert shown(attribute(said, [Turn(0, 0, 500, 1), Turn(1, 0, 500, 2)])) == [[("甲", 1)], [("乙", 2)]]


@pytest.mark.parametrize("text", ["2026年", ""])
def test_a_sentence_whose_text_was_changed_is_not_cut(text: str) -> None:
    words = tuple(Word(character, i * 400, i * 400 + 200, 1.0) for i, character in enumerate("二零二六年"))
    said = Sentence(text, 0, 2000, 1.0, words)
    assert shown(attribute([said], [Turn(0, 0, 790, 1), Turn(0, 790, 3000, 2)])) == [[(text, 2)]]


def test_english_words_are_cut_between_words() -> None:
    words = tuple(Word(text, at, at + 300, 1.0) for text, at in (("do", 0), ("you", 300), ("I", 1500), ("do", 1800)))
    said = Sentence("Do you? I do.".replace("Do", "do"), 0, 2200, 1.0, words)
    assert shown(attribute([said], [Turn(0, 0, 900, 1), Turn(0, 900, 3000, 2)])) == [[("do you?", 1), ("I do.", 2)]]


def test_a_sentence_that_begins_with_a_capital_is_cut() -> None:
    words = tuple(Word(text, i * 1000, i * 1000 + 200, 0.5) for i, text in enumerate(["it", "is", "yes", "it", "is"]))
    said = Sentence("It is, yes it is.", 0, 4250, 0.5, words)
    cut = attribute([said], [Turn(0, 0, 1300, 1), Turn(0, 1900, 4300, 2)])
    assert shown(cut) == [[("It is,", 1), ("yes it is.", 2)]]
