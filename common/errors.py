"""The error family. Every code of the service stands in this file, once.

`docs/errors.md` is generated from here; only `api/errors.py` knows which HTTP status a code gets.
"""

from __future__ import annotations

from typing import ClassVar


class ParaqueueError(Exception):
    """Something that a caller is told about, by a stable `code` and a sentence.

    `retryable` says whether the same call, or the same job, may succeed later without a change.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Internal(ParaqueueError):
    """A defect of ours; the log has the details under the same request or job id."""

    retryable = True


# What a caller asked for cannot be done.


class InvalidRequest(ParaqueueError):
    """The request does not have the form that the documentation gives."""

    code = "invalid_request"


class UnknownModel(ParaqueueError):
    """No worker of this installation serves the model."""

    code = "unknown_model"


class NotFound(ParaqueueError):
    """There is no such thing, or it is not yours."""

    code = "not_found"


class Unauthenticated(ParaqueueError):
    """The call has no API key or token, or one that is not valid (any more)."""

    code = "unauthenticated"


class Forbidden(ParaqueueError):
    """The key or token does not have the scope that the call needs."""

    code = "forbidden"


class RateLimited(ParaqueueError):
    """The key made more calls within a minute than it may, or the address sent too many wrong keys."""

    code = "rate_limited"
    retryable = True

    def __init__(self, message: str, after_seconds: int = 60) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class QuotaExceeded(ParaqueueError):
    """The key has as many jobs in the queue, or has used as many minutes of audio, as it may."""

    code = "quota_exceeded"
    retryable = True

    def __init__(self, message: str, after_seconds: int = 60) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class SessionsNotConfigured(ParaqueueError):
    """This installation lacks the secret that sessions of browsers need."""

    code = "sessions_not_configured"


class NotReady(ParaqueueError):
    """The transcript does not exist yet; the job is still queued or processing."""

    code = "not_ready"
    retryable = True


class WrongState(ParaqueueError):
    """The state of the job, or of the webhook endpoint, forbids the call."""

    code = "wrong_state"


class EditConflict(ParaqueueError):
    """Somebody else corrected the sentence since the caller read it; read it again."""

    code = "edit_conflict"


class IdempotencyKeyInUse(ParaqueueError):
    """A request with the same Idempotency-Key has not been answered yet."""

    code = "idempotency_key_in_use"
    retryable = True


class IdempotencyKeyReused(ParaqueueError):
    """The Idempotency-Key was used before, for a request that differs from this one."""

    code = "idempotency_key_reused"


class WebhooksNotConfigured(ParaqueueError):
    """This installation lacks the secret that webhooks of this kind need."""

    code = "webhooks_not_configured"


class TooManyWebhooks(ParaqueueError):
    """There are as many webhook endpoints as this installation allows."""

    code = "too_many_webhooks"


class Expired(ParaqueueError):
    """The result was deleted when its time to live ended."""

    code = "expired"


class NotAcceptable(ParaqueueError):
    """The transcript has no such form."""

    code = "not_acceptable"


class UploadTooLarge(ParaqueueError):
    """The upload passed the size limit of this installation."""

    code = "upload_too_large"


class UploadIncomplete(ParaqueueError):
    """The connection closed before the announced end of the upload."""

    code = "upload_incomplete"
    retryable = True


class UploadLocked(ParaqueueError):
    """Another request writes to this upload at the moment."""

    code = "upload_locked"
    retryable = True


class OffsetMismatch(ParaqueueError):
    """The upload does not stand at the offset that the request names; ask with HEAD where it does."""

    code = "offset_mismatch"


class ChecksumMismatch(ParaqueueError):
    """The bytes of the request do not have the checksum that it announces; they were thrown away."""

    code = "checksum_mismatch"


class TusVersion(ParaqueueError):
    """The request does not speak version 1.0.0 of the tus protocol (`Tus-Resumable: 1.0.0`)."""

    code = "tus_version"


class UnsupportedMediaType(ParaqueueError):
    """The body has a content type that the call does not take."""

    code = "unsupported_media_type"


class Unavailable(ParaqueueError):
    """A part that the service stands on does not answer at the moment."""

    code = "unavailable"
    retryable = True


class StorageFull(ParaqueueError):
    """The storage has no room for the audio."""

    code = "storage_full"
    retryable = True


# Why a job failed: fetching the audio.


class SourceNotFound(ParaqueueError):
    """The link or object does not exist (404, 410, NoSuchKey)."""

    code = "source_not_found"


class SourceDenied(ParaqueueError):
    """The server of the link refused us (401, 403, AccessDenied)."""

    code = "source_denied"


class SourceUnreachable(ParaqueueError):
    """The server of the link did not answer, broke off, or failed (5xx, 429)."""

    code = "source_unreachable"
    retryable = True


class SourceTooSlow(ParaqueueError):
    """Fetching the audio took longer than the time limit."""

    code = "source_too_slow"
    retryable = True


class SourceTooLarge(ParaqueueError):
    """The linked audio is larger than the size limit."""

    code = "source_too_large"


class SourceNotAudio(ParaqueueError):
    """The link answered with a web page or other text instead of audio."""

    code = "source_not_audio"


class SourceNotAllowed(ParaqueueError):
    """The link's scheme, host or address is not one this installation fetches from."""

    code = "source_not_allowed"


class StorageUnavailable(ParaqueueError):
    """The object storage did not answer."""

    code = "storage_unavailable"
    retryable = True


# Why a job failed: the audio itself.


class AudioEmpty(ParaqueueError):
    """The file has no bytes, or its audio track has no samples."""

    code = "audio_empty"


class AudioNotDecodable(ParaqueueError):
    """The file is not audio in a form that can be decoded."""

    code = "audio_not_decodable"


class AudioMissing(ParaqueueError):
    """The file is a video or picture without a sound track."""

    code = "audio_missing"


class AudioTruncated(ParaqueueError):
    """The file ends before the length that it declares."""

    code = "audio_truncated"


class AudioTooLong(ParaqueueError):
    """The audio is longer than the duration limit."""

    code = "audio_too_long"


class DecodeLimit(ParaqueueError):
    """Decoding passed its limit of time or memory."""

    code = "decode_limit"


# Why a job failed: our side.


class OutOfMemory(ParaqueueError):
    """The device had no memory left even for one segment."""

    code = "out_of_memory"
    retryable = True


class WorkerLost(ParaqueueError):
    """The worker stopped renewing its lease."""

    code = "worker_lost"
    retryable = True


class Poison(ParaqueueError):
    """The worker died twice at the same part of this job while nothing else ran there."""

    code = "poison"


class ModelUnavailable(ParaqueueError):
    """The files of a model bundle are missing or wrong."""

    code = "model_unavailable"


class ConfigurationError(ParaqueueError):
    """The installation is set up wrongly; said in one line at start."""

    code = "configuration"


def all_errors() -> list[type[ParaqueueError]]:
    """Every error of this file, in its order."""
    return [kind for kind in ParaqueueError.__subclasses__() if kind.__module__ == __name__]
