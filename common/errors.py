"""The error family: every error code of the service.

`docs/errors.md` is generated from here; only `api/http/problems.py` knows which HTTP status a code gets.
"""

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
    """An internal error; the log has details under the same request id or job id."""

    retryable = True


# Request errors.


class InvalidRequest(ParaqueueError):
    """The request is malformed or has invalid parameters."""

    code = "invalid_request"


class UnknownModel(ParaqueueError):
    """The installation does not serve this model."""

    code = "unknown_model"


class UnsupportedLanguage(ParaqueueError):
    """The model does not recognize the requested language."""

    code = "unsupported_language"


class NotFound(ParaqueueError):
    """The resource does not exist, or belongs to another tenant."""

    code = "not_found"


class Unauthenticated(ParaqueueError):
    """The API key or token is missing, invalid, expired or revoked."""

    code = "unauthenticated"


class Forbidden(ParaqueueError):
    """The key or token lacks the required scope."""

    code = "forbidden"


class RateLimited(ParaqueueError):
    """Too many requests with this key, or too many failed authentication attempts from this address."""

    code = "rate_limited"
    retryable = True

    def __init__(self, message: str, after_seconds: int = 60) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class QuotaExceeded(ParaqueueError):
    """The limit of queued jobs or minutes of audio is reached."""

    code = "quota_exceeded"
    retryable = True

    def __init__(self, message: str, after_seconds: int = 60) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class SessionsNotConfigured(ParaqueueError):
    """Browser sessions are not configured: `PARAQUEUE_SECRET_KEY` is not set."""

    code = "sessions_not_configured"


class NotReady(ParaqueueError):
    """The transcript is not available yet: the job is still queued or processing."""

    code = "not_ready"
    retryable = True


class NoTranscript(ParaqueueError):
    """The job failed or was canceled, so there will be no transcript, unless it is retried."""

    code = "no_transcript"


class WrongState(ParaqueueError):
    """The operation is not allowed in the current state of the job or webhook endpoint."""

    code = "wrong_state"


class EditConflict(ParaqueueError):
    """The sentence was changed since the caller read it; read it again."""

    code = "edit_conflict"


class IdempotencyKeyInUse(ParaqueueError):
    """Another request with the same Idempotency-Key is still in progress."""

    code = "idempotency_key_in_use"
    retryable = True


class IdempotencyKeyReused(ParaqueueError):
    """The Idempotency-Key was already used for a different request."""

    code = "idempotency_key_reused"


class WebhooksNotConfigured(ParaqueueError):
    """Webhooks of this kind are not configured: `PARAQUEUE_SECRET_KEY` or `PARAQUEUE_WEBHOOK_SECRET` is not set."""

    code = "webhooks_not_configured"


class TooManyWebhooks(ParaqueueError):
    """The maximum number of webhook endpoints is reached."""

    code = "too_many_webhooks"


class Expired(ParaqueueError):
    """The result was deleted at the end of its retention period."""

    code = "expired"


class NotAcceptable(ParaqueueError):
    """The transcript is not available in the requested format."""

    code = "not_acceptable"


class UploadTooLarge(ParaqueueError):
    """The upload exceeds the size limit."""

    code = "upload_too_large"


class UploadIncomplete(ParaqueueError):
    """The connection closed before the upload was complete."""

    code = "upload_incomplete"
    retryable = True


class UploadLocked(ParaqueueError):
    """Another request is writing to this upload."""

    code = "upload_locked"
    retryable = True


class OffsetMismatch(ParaqueueError):
    """The request's offset differs from the upload's; get the current offset with HEAD."""

    code = "offset_mismatch"


class ChecksumMismatch(ParaqueueError):
    """The data does not match its checksum and was discarded."""

    code = "checksum_mismatch"


class TusVersion(ParaqueueError):
    """The request does not use tus protocol version 1.0.0 (`Tus-Resumable: 1.0.0`)."""

    code = "tus_version"


class UnsupportedMediaType(ParaqueueError):
    """The content type of the request body is not supported."""

    code = "unsupported_media_type"


class Unavailable(ParaqueueError):
    """A server that the service depends on is not available."""

    code = "unavailable"
    retryable = True


class StorageFull(ParaqueueError):
    """The storage is full."""

    code = "storage_full"
    retryable = True


# Job errors: fetching the audio.


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


class SourceTooSlow(ParaqueueError):
    """Fetching the audio exceeded the time limit."""

    code = "source_too_slow"
    retryable = True


class SourceTooLarge(ParaqueueError):
    """The linked audio exceeds the size limit."""

    code = "source_too_large"


class SourceNotAudio(ParaqueueError):
    """The link returned a web page or other text instead of audio."""

    code = "source_not_audio"


class SourceNotAllowed(ParaqueueError):
    """The scheme, host, address or port of the link is not allowed."""

    code = "source_not_allowed"


class StorageUnavailable(ParaqueueError):
    """The service's object storage is not available."""

    code = "storage_unavailable"
    retryable = True


# Job errors: the audio.


class AudioEmpty(ParaqueueError):
    """The file is empty, or its audio track has no samples."""

    code = "audio_empty"


class AudioNotDecodable(ParaqueueError):
    """The file cannot be decoded as audio."""

    code = "audio_not_decodable"


class AudioMissing(ParaqueueError):
    """The file is a video or image without an audio track."""

    code = "audio_missing"


class AudioTruncated(ParaqueueError):
    """The file broke off so early that nothing of it can be decoded; one that has any sound is transcribed."""

    code = "audio_truncated"


class TrackNotFound(ParaqueueError):
    """The file has no audio track of the number or language that `audio_track` asks for."""

    code = "track_not_found"


class AudioTooLong(ParaqueueError):
    """The audio exceeds the duration limit."""

    code = "audio_too_long"


class DecodeLimit(ParaqueueError):
    """Decoding exceeded its CPU time or memory limit."""

    code = "decode_limit"


class DecodeStalled(ParaqueueError):
    """The decoder waited too long for the audio file's bytes: the disk or network file system does not respond."""

    code = "decode_stalled"
    retryable = True


# Job errors: the service.


class OutOfMemory(ParaqueueError):
    """The device ran out of memory on a single segment."""

    code = "out_of_memory"
    retryable = True


class WorkerLost(ParaqueueError):
    """The worker stopped renewing its lease."""

    code = "worker_lost"
    retryable = True


class Poison(ParaqueueError):
    """The worker process died twice at the same part of this job while it ran no other job."""

    code = "poison"


class ModelUnavailable(ParaqueueError):
    """Files of the model bundle are missing or invalid."""

    code = "model_unavailable"


class ConfigurationError(ParaqueueError):
    """A setting is invalid; reported at startup."""

    code = "configuration"


def all_errors() -> list[type[ParaqueueError]]:
    """Every error of this file, in definition order."""
    return [kind for kind in ParaqueueError.__subclasses__() if kind.__module__ == __name__]
