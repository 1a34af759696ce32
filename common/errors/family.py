"""The base class of all errors, and the error without a cause that callers can name."""

from __future__ import annotations

from typing import ClassVar


class ParaqueueError(Exception):
    """An error that is reported to a caller, with a stable `code` and a message.

    `retryable` says whether the same call, or the same job, may succeed later without a change.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Internal(ParaqueueError):
    """An internal error; the log has details under the id of the request or job."""

    retryable = True
