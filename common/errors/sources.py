"""Errors of fetching the audio of a job."""

from __future__ import annotations

from common.errors.family import ParaqueueError


class SourceNotFound(ParaqueueError):
    """The linked file or object does not exist (404, 410, NoSuchKey)."""

    code = "source_not_found"


class SourceDenied(ParaqueueError):
    """The server of the link denied access (401, 403, AccessDenied)."""

    code = "source_denied"


class SourceUnreachable(ParaqueueError):
    """The server of the link did not respond, closed the connection, or failed (5xx, 429)."""

    code = "source_unreachable"
    retryable = True


class SourceNotReady(ParaqueueError):
    """The server of the link is still preparing the file (202)."""

    code = "source_not_ready"
    retryable = True


class SourceTooSlow(ParaqueueError):
    """Fetching the audio exceeded the time limit."""

    code = "source_too_slow"
    retryable = True


class SourceRateTooLow(ParaqueueError):
    """The server of the link sent data too slowly; the job is tried again after the others."""

    code = "source_rate_too_low"
    retryable = True


class SourceTooLarge(ParaqueueError):
    """The linked audio exceeds the size limit."""

    code = "source_too_large"


class SourceNotAudio(ParaqueueError):
    """The link returned a web page instead of audio, or content whose compression cannot be undone."""

    code = "source_not_audio"


class SourceNotAllowed(ParaqueueError):
    """The scheme, host, address or port of the link is not allowed."""

    code = "source_not_allowed"


class StorageUnavailable(ParaqueueError):
    """The service's object storage is not available."""

    code = "storage_unavailable"
    retryable = True
