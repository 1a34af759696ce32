"""Calls of chat endpoints that fail, are refused or answer what nobody asked for, and what becomes of the summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from common import summaries
from common.db import Database
from common.errors import SummaryUnavailable, Unavailable
from common.job_states import Status
from common.summaries import SummaryFailure, Tokens
from common.summaries.sections import tokens_of
from tests.chat_server import API_KEY, MODEL, ChatServer, deaf_server, sends, writes
from tests.db.job_cases import (
    one,
)
from tests.db.summary_cases import (
    LONG,
    SMALL,
    SOON,
    chat,
    counted,
    made,
    requested,
    summarizing,
)
from tests.servers import HttpServer
from tests.waiting import until
from worker.light.chat import ANSWER_BYTES
from worker.light.summarizer import SummaryRetries

__all__ = ["chat"]  # a fixture


@pytest.mark.parametrize(
    "answer",
    [
        sends(429, b'{"error": {"code": "rate_limit_exceeded", "message": "secret"}}', Retry_After="0"),
        sends(500),
        sends(503, b"<html>"),
        sends(408),
        sends(200, b'{"choices": ['),
        sends(200, b"x" * (ANSWER_BYTES + 1)),
        writes(""),
        writes("<think>all of it", finish="length"),
    ],
)
def test_what_may_pass_is_tried_again(database: Database, chat: ChatServer, answer: object) -> None:
    chat.answers = [answer, writes("done")]  # type: ignore[list-item]
    summary = made(database, chat.endpoint(), requested(database))
    assert (summary.status, summary.text, summary.failure) == (Status.COMPLETED, "done", None)


def test_what_does_not_pass_fails_with_its_reason(database: Database, chat: ChatServer) -> None:
    chat.answers = [sends(503)] * 3
    summary = made(database, chat.endpoint(), requested(database))
    assert summary.status is Status.FAILED
    assert summary.failure == SummaryFailure("summary_unavailable", "the chat endpoint answered 503", True)
    assert len(chat.asked) == SOON.most_failures


def test_retry_after_is_respected(database: Database, chat: ChatServer) -> None:
    job = requested(database)
    chat.answers = [sends(429, Retry_After="600")]
    with summarizing(database, chat.endpoint(), retries=SummaryRetries()):
        until(lambda: summaries.get(database, job.id).failure)
    wait = one(database, "SELECT extract(epoch FROM due_at - now()) FROM summaries")
    assert 500 < wait <= 600
    assert summaries.claim_next(database) is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (sends(401, b'{"error": {"code": "bad_key", "message": "sk-of-the-operator"}}'), "answered 401 (bad_key)"),
        (sends(400, b'{"error": {"code": "<b>"}}'), "answered 400"),
        (sends(404, b"not json"), "answered 404"),
        (sends(307, Location="http://169.254.169.254/latest"), "redirects"),
    ],
)
def test_a_refusal_is_final_and_repeats_no_secrets(
    database: Database, chat: ChatServer, answer: object, message: str
) -> None:
    chat.answers = [answer]  # type: ignore[list-item]
    with capture_logs() as logs:
        summary = made(database, chat.endpoint(), requested(database))
    assert summary.status is Status.FAILED
    assert summary.failure is not None
    assert (summary.failure.code, summary.failure.retryable) == ("summary_rejected", False)
    assert message in summary.failure.message
    assert "<b>" not in summary.failure.message
    assert API_KEY not in str(logs) + str(summary)
    assert len(chat.asked) == 1


def test_a_refusal_of_the_model_is_final_and_what_it_took_is_counted(database: Database, chat: ChatServer) -> None:
    chat.answers = [writes(None, finish="content_filter")]
    summary = made(database, chat.endpoint(), requested(database))
    assert summary.failure is not None
    assert (summary.failure.code, summary.failure.retryable) == ("summary_rejected", False)
    assert summary.tokens == Tokens(100, 10)
    assert counted(database) == [("default", MODEL, 100, 10)]


def test_a_model_that_knows_only_the_newer_name_of_the_limit(database: Database, chat: ChatServer) -> None:
    error = b'{"error": {"code": "unsupported_parameter", "param": "max_tokens"}}'
    chat.answers = [sends(400, error), writes("done"), sends(400, error), sends(400, error)]
    assert made(database, chat.endpoint(), requested(database)).text == "done"
    assert "max_tokens" not in chat.asked[1].body
    assert chat.asked[1].body["max_completion_tokens"] == 2000
    assert made(database, chat.endpoint(), requested(database)).status is Status.FAILED
    assert len(chat.asked) == 4


def test_what_is_missing_in_a_section_is_missing_in_the_summary(database: Database, chat: ChatServer) -> None:
    chat.answers = [writes("one"), writes("tw", finish="length")]
    assert made(database, chat.endpoint(**SMALL), requested(database, *LONG)).truncated
    assert not made(database, chat.endpoint(**SMALL), requested(database, *LONG)).truncated


def test_results_longer_than_was_asked_for_can_still_be_merged(database: Database, chat: ChatServer) -> None:
    job = requested(database, *LONG)
    calls = len(LONG)
    chat.answers = [writes("长" * 50_000)] * calls
    summary = made(database, chat.endpoint(**SMALL), job)
    assert (summary.status, summary.truncated) == (Status.COMPLETED, True)
    assert all(tokens_of(asked.system + asked.user) < SMALL["context_tokens"] for asked in chat.asked)


def test_the_database_may_be_away_during_a_call(
    database: Database, chat: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = requested(database)
    refused: list[str] = []

    def away(*_: object) -> None:
        refused.append("")
        chat.let_go.set()
        raise Unavailable("the database does not respond")

    monkeypatch.setattr("worker.light.summarizer.KEEP_SECONDS", 0.0)
    monkeypatch.setattr(summaries, "keep", away)

    def late(handler: Any, body: dict[str, Any]) -> None:
        chat.let_go.wait(60)
        writes("done")(handler, body)

    chat.answers = [late]
    assert made(database, chat.endpoint(), job).text == "done"
    assert refused
    assert len(chat.asked) == 1


def test_an_endpoint_that_reads_nothing_does_not_keep_a_canceled_call() -> None:
    class Stop(Exception):
        pass

    looked: list[int] = []

    def check() -> None:
        looked.append(1)
        if len(looked) == 5:
            raise Stop

    with deaf_server() as port:
        endpoint = ChatServer(HttpServer(Path(), "127.0.0.1", port)).endpoint(timeout_seconds=600)
        with pytest.raises(Stop):
            endpoint.ask("system", "u" * 1_000_000, check)
        impatient = replace(endpoint, timeout_seconds=0.5)
        with pytest.raises(SummaryUnavailable, match="in time"):
            impatient.ask("system", "u" * 50_000_000, lambda: None)


def test_a_private_address_needs_to_be_allowed(database: Database, chat: ChatServer) -> None:
    summary = made(database, chat.endpoint(allowed_private=()), requested(database))
    assert summary.failure is not None
    assert "PARAQUEUE_SUMMARY_ALLOWED_PRIVATE" in summary.failure.message
    assert chat.asked == []


def test_a_slow_endpoint_and_one_that_is_not_there(chat: ChatServer) -> None:
    def never() -> None:
        """Nothing stops the call."""

    chat.answers = [chat.hang]
    with pytest.raises(SummaryUnavailable, match="in time"):
        chat.endpoint(timeout_seconds=0.3).ask("system", "user", never)
    nobody = chat.endpoint(url=httpx.URL("http://127.0.0.1:9/v1/chat/completions"))
    with pytest.raises(SummaryUnavailable, match="connection failed"):
        nobody.ask("system", "user", never)
