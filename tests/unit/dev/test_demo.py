"""When the sample's transcript counts as right."""

from __future__ import annotations

import pytest

from dev.demo import Outcome, Sentence, character_error_rate, problems

REFERENCE = [Sentence("今天我们讨论 deadline。", 0, 2000), Sentence("请大家看第二页。", 2500, 4000)]


def outcome(*sentences: Sentence) -> Outcome:
    return Outcome("tr_1", list(sentences), audio_ms=4500, processing_seconds=0.45)


def test_a_right_transcript_has_no_problems() -> None:
    good = outcome(Sentence("今天，我们讨论Deadline", 40, 1980), Sentence("请大家看第二页", 2510, 3990))
    assert problems(good, REFERENCE) == []
    assert good.rtf == pytest.approx(0.1)


def test_without_a_reference_only_form_is_judged() -> None:
    assert problems(outcome(Sentence("随便", 0, 4500)), None) == []


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        ([], "the transcript is empty"),
        ([Sentence("今天我们讨论 deadline", 0, 2000)], "1 of 2 sentences are missing"),
        ([REFERENCE[1], REFERENCE[0]], "times go backwards"),
        ([REFERENCE[0], Sentence("请大家看第二页。", 4000, 2500)], "times go backwards"),
        ([REFERENCE[0], Sentence("请大家看第二页。", 2500, 4600)], "times lie outside the audio"),
        (
            [REFERENCE[0], Sentence("请大家看第三页面。", 2500, 4000)],
            "the character error rate is 9.5%, more than 5%",
        ),
    ],
)
def test_what_is_wrong_is_said(sentences: list[Sentence], expected: str) -> None:
    assert expected in problems(outcome(*sentences), REFERENCE)


def test_the_error_rate_counts_characters_and_neither_case_nor_punctuation() -> None:
    assert character_error_rate([Sentence("甲乙，丙 OK", 0, 1)], [Sentence("甲乙丙 ok!", 0, 1)]) == 0
    assert character_error_rate([Sentence("甲乙丙丁", 0, 1)], [Sentence("甲乙丁", 0, 1)]) == 0.25
