"""What can go wrong, as a caller tells it apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paraqueue.models import Transcription


class ParaqueueError(Exception):
    """Everything that this package raises by itself."""


class ConfigurationError(ParaqueueError):
    """A setting of the client is missing or wrong."""


class ConnectionFailed(ParaqueueError):
    """The service did not answer, also not after several tries."""


class WaitedTooLong(ParaqueueError):
    """The transcription had not ended after the time that the caller wanted to wait; it goes on."""

    def __init__(self, transcription: Transcription, seconds: float) -> None:
        super().__init__(f"{transcription.id} is still {transcription.status} after {seconds:g} s")
        self.transcription = transcription


class JobEnded(ParaqueueError):
    """The transcription failed or was canceled: there is no transcript to come."""

    def __init__(self, transcription: Transcription) -> None:
        failure = transcription.error
        why = f": {failure.message} ({failure.code})" if failure else ""
        super().__init__(f"{transcription.id} {transcription.status}{why}")
        self.transcription = transcription


class ApiError(ParaqueueError):
    """The service refused a request. `code` is stable, see the list of codes in the service's documentation."""

    def __init__(self, status: int, code: str, message: str, *, retryable: bool, request_id: str | None) -> None:
        super().__init__(f"{message} ({code})")
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable
        self.request_id = request_id


class AuthenticationFailed(ApiError):
    """The API key is missing, wrong, expired or may not do this."""


class NotFound(ApiError):
    """There is no such thing, or it belongs to somebody else."""
