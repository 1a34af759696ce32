"""Responses of chat endpoints, and when failed calls are repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SummaryInvalid
from common.summaries import Tokens
from tests.chat_server import completion
from worker.light.chat import LONGEST_TEXT, reply_of
from worker.light.summarizer import SummaryRetries


def parsed(content: Any, **more: Any) -> Any:
    return reply_of(json.dumps(completion(content, **more)).encode(), asked=7)


def test_an_ordinary_reply() -> None:
    reply = parsed(" 要点：\r\n- 一\n ")
    assert (reply.text, reply.truncated, reply.tokens) == ("要点：\n- 一", False, Tokens(100, 10))


def test_a_reply_in_parts_without_counts_that_was_cut_off() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]
    reply = parsed(parts, finish="length", usage={"prompt_tokens": True, "completion_tokens": -1})
    assert (reply.text, reply.truncated, reply.tokens) == ("one two", True, Tokens(7, 3))


def test_thoughts_and_what_no_text_contains_are_removed() -> None:
    assert parsed("<think>\nlong <b>\n</think>\n\nThe \x00\x9b result\ud800").text == "The  result"
    assert parsed("<think>never ends").text == ""
    assert parsed("the tag <think> in a text</think>").text == "the tag <think> in a text</think>"
    assert parsed("its beginning is in the prompt\n</think>\nThe result").text == "The result"


@pytest.mark.parametrize("count", ["12", 12.0, True, -1, 10**10, None, [1], {"a": 1}])
def test_counts_that_are_none_are_estimated(count: Any) -> None:
    assert parsed("abc", usage={"prompt_tokens": count, "completion_tokens": count}).tokens == Tokens(7, 1)
    assert parsed("abc", usage=count).tokens == Tokens(7, 1)


def test_what_a_filter_left_is_cut_off_and_nothing_is_a_refusal() -> None:
    left = parsed("half of it", finish="content_filter")
    assert (left.text, left.truncated, left.refused) == ("half of it", True, False)
    assert parsed(None, finish="content_filter").refused
    refusal = {"choices": [{"message": {"content": None, "refusal": "I cannot help"}, "finish_reason": "stop"}]}
    assert reply_of(json.dumps(refusal).encode(), asked=1).refused
    assert not parsed("").refused


def test_the_length_of_a_text_is_bounded() -> None:
    reply = parsed("x" * (LONGEST_TEXT + 1))
    assert (len(reply.text), reply.truncated) == (LONGEST_TEXT, True)


def test_nothing_written_is_an_empty_text() -> None:
    assert parsed(None).text == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": ["x"]}}]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_completion_is_invalid(content: bytes) -> None:
    with pytest.raises(SummaryInvalid):
        reply_of(content, asked=1)


@given(st.binary(max_size=200))
def test_no_response_breaks_it(content: bytes) -> None:
    with pytest.raises(SummaryInvalid):
        reply_of(content, asked=1)


def test_pauses_double_and_end() -> None:
    retries = SummaryRetries(base_seconds=5, longest_seconds=900, most_failures=10)
    pauses = [retries.pause(failures, retry_after=None, jitter=0.5) for failures in range(1, 11)]
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 900, None]
    assert retries.pause(1, retry_after=60, jitter=0.5) == 60
    assert retries.pause(1, retry_after=1, jitter=1) == 6.25
    assert retries.pause(1, retry_after=10**9, jitter=0.5) == 900
