"""Errors of summaries, which the operator's chat endpoint writes."""

from __future__ import annotations

from common.errors.family import ParaqueueError


class SummaryUnavailable(ParaqueueError):
    """The chat endpoint did not respond in time, closed the connection, or failed (429, 5xx)."""

    code = "summary_unavailable"
    retryable = True

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        """`after_seconds` is what the endpoint asks to wait, if it does."""
        super().__init__(message)
        self.after_seconds = after_seconds


class SummaryInvalid(ParaqueueError):
    """The response of the chat endpoint is too large, or contains no text."""

    code = "summary_invalid"
    retryable = True


class SummaryRejected(ParaqueueError):
    """The chat endpoint or its model refused the request (4xx, a redirect, a filter), or its address is not allowed."""

    code = "summary_rejected"


class SummaryEmpty(ParaqueueError):
    """The transcript has no text."""

    code = "summary_empty"


class SummaryLost(ParaqueueError):
    """The light worker stopped while it made the summary, several times."""

    code = "summary_lost"
    retryable = True
