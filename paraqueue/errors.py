"""The errors that callers can distinguish."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paraqueue.models import Summary, Transcription


class ParaqueueError(Exception):
    """The base class of all errors of this package."""


class ConfigurationError(ParaqueueError):
    """A setting of the client is missing or wrong."""


class ConnectionFailed(ParaqueueError):
    """The service did not respond, even after several attempts."""


class WaitedTooLong(ParaqueueError):
    """The transcription did not end within the caller's timeout; it continues."""

    def __init__(self, transcription: Transcription, seconds: float) -> None:
        super().__init__(f"{transcription.id} is still {transcription.status} after {seconds:g} s")
        self.transcription = transcription


class SummaryNotReady(ParaqueueError):
    """The summary was not made within the caller's timeout; the service goes on."""

    def __init__(self, summary: Summary, seconds: float) -> None:
        super().__init__(f"the summary of {summary.transcription_id} is still {summary.status} after {seconds:g} s")
        self.summary = summary


class JobEnded(ParaqueueError):
    """The transcription failed or was canceled: there will be no transcript."""

    def __init__(self, transcription: Transcription) -> None:
        failure = transcription.error
        why = f": {failure.message} ({failure.code})" if failure else ""
        super().__init__(f"{transcription.id} {transcription.status}{why}")
        self.transcription = transcription


class ApiError(ParaqueueError):
    """The service rejected a request. `code` is stable; see the list of codes in the service's documentation."""

    def __init__(self, status: int, code: str, message: str, *, retryable: bool, request_id: str | None) -> None:
        super().__init__(f"{message} ({code})")
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable
        self.request_id = request_id


class AuthenticationFailed(ApiError):
    """The API key is missing, invalid, expired or lacks the required permission."""


class NotFound(ApiError):
    """The resource does not exist or belongs to another tenant."""
