"""Spoken numbers in digits: a table of cases, and properties that hold for any text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.transcript.itn import normalized

CASES = [
    tuple(line.split("|"))
    for line in Path(__file__).with_name("itn_cases.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
# Whatever may disappear when a number is written in digits, and whatever may appear.
NUMBER_SIGNS = re.compile("[零〇一二两三四五六七八九十百千万亿幺点负分之半刻比0-9.%‰:/-]")
NUMERIC = st.text(
    alphabet="零〇一二两三四五六七八九十百千万亿幺点负分之半刻比第到年月日号块毛元度几，。天气5. ", max_size=24
)


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(CASES) >= 300
    assert len({spoken for spoken, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("spoken", "written"), CASES)
def test_case(spoken: str, written: str) -> None:
    assert normalized(spoken) == written


@given(NUMERIC)
@example("百分之百百分之三")
def test_nothing_but_signs_of_number_is_lost(text: str) -> None:
    assert NUMBER_SIGNS.sub("", normalized(text)) == NUMBER_SIGNS.sub("", text)


@given(NUMERIC)
@example("下午三点三点")
def test_normalizing_twice_changes_nothing(text: str) -> None:
    once = normalized(text)
    assert normalized(once) == once


@given(st.text(alphabet="我们今天开会讨论了天气很好abc，。 ", max_size=40))
def test_text_without_numbers_stays(text: str) -> None:
    assert normalized(text) == text
