"""Text as people write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.transcript.values import Sentence, joined_text, needs_space


def sentences(*texts: str) -> list[Sentence]:
    return [Sentence(text, 0, 0, 1.0, ()) for text in texts]


@pytest.mark.parametrize(
    ("left", "right", "wanted"),
    [
        ("hello", "world", True),
        ("Hello.", "World", True),
        ("你好", "世界", False),
        ("你好。", "Hello", False),
        ("Hello.", "你好", False),
        ("用", "API", False),
        ("API", "，", False),
        ("hello", ",", False),
        ("hello ", "world", False),
        ("", "a", False),
        ("a", "", False),
        ("3", "5", True),
    ],
)
def test_a_space_only_where_latin_letters_would_touch(left: str, right: str, wanted: bool) -> None:
    assert needs_space(left, right) is wanted


def test_joined() -> None:
    assert (
        joined_text(sentences("你好。", "Hello there.", "How are you?", "很好。"))
        == "你好。Hello there. How are you?很好。"
    )
    assert joined_text(sentences("Hello.", "", "World.")) == "Hello. World."
    assert joined_text([]) == ""


PIECE = st.text(st.sampled_from("你好世界，。abcXYZ019,.?!'"), min_size=1, max_size=8)


@given(st.lists(PIECE, max_size=8))
def test_joining_adds_nothing_but_single_spaces(texts: list[str]) -> None:
    joined = joined_text(sentences(*texts))
    assert joined.replace(" ", "") == "".join(texts)
    assert "  " not in joined
    assert joined == joined.strip()


@given(PIECE, PIECE)
def test_latin_words_never_run_together(left: str, right: str) -> None:
    joined = joined_text(sentences(left, right))
    if left[-1].isascii() and left[-1].isalnum() and right[0].isascii() and right[0].isalnum():
        assert joined == f"{left} {right}"


@given(st.lists(PIECE, max_size=5), st.lists(PIECE, max_size=5))
def test_joining_in_two_steps_is_joining_once(first: list[str], second: list[str]) -> None:
    steps = [text for text in (joined_text(sentences(*first)), joined_text(sentences(*second))) if text]
    assert joined_text(sentences(*steps)) == joined_text(sentences(*first, *second))
