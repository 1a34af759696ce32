"""Errors of requests: refused, conflicting or not possible now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.errors.family import ParaqueueError


class InvalidRequest(ParaqueueError):
    """The request is malformed or has invalid parameters."""

    code = "invalid_request"


class UnknownModel(ParaqueueError):
    """The installation does not serve this model."""

    code = "unknown_model"


class UnsupportedLanguage(ParaqueueError):
    """The model does not recognize the requested language."""

    code = "unsupported_language"


class SpeakersUnsupported(ParaqueueError):
    """No worker of the model supports speaker diarization."""

    code = "speakers_unsupported"


class NoSpeakers(ParaqueueError):
    """The transcription was submitted without speaker diarization."""

    code = "no_speakers"


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
    """Too many requests of this tenant or key, or failed authentication attempts from this address."""

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
    """Browser sessions need `PARAQUEUE_SECRET_KEY`, which is not set."""

    code = "sessions_not_configured"


class NotReady(ParaqueueError):
    """The job is still queued or processing."""

    code = "not_ready"
    retryable = True


class NoTranscript(ParaqueueError):
    """The job failed or was canceled; unless retried, it will have no transcript."""

    code = "no_transcript"


class WrongState(ParaqueueError):
    """The state of the job, summary or webhook endpoint does not allow the operation."""

    code = "wrong_state"


class EditConflict(ParaqueueError):
    """The sentence was changed since the caller read it, or its number belongs to another; read it again."""

    code = "edit_conflict"

    def __init__(self, message: str, current: Sequence[Any] = ()) -> None:
        """`current` are the sentences as they are now, if they are known (`common.jobs.Corrected`)."""
        super().__init__(message)
        self.current = tuple(current)


class IdempotencyKeyInUse(ParaqueueError):
    """Another request with this Idempotency-Key is in progress."""

    code = "idempotency_key_in_use"
    retryable = True


class IdempotencyKeyReused(ParaqueueError):
    """The Idempotency-Key was used for a different request."""

    code = "idempotency_key_reused"


class WebhooksNotConfigured(ParaqueueError):
    """`PARAQUEUE_SECRET_KEY` (for endpoints) or `PARAQUEUE_WEBHOOK_SECRET` (for `webhook_url`) is not set."""

    code = "webhooks_not_configured"


class TooManyWebhooks(ParaqueueError):
    """The maximum number of webhook endpoints is reached."""

    code = "too_many_webhooks"


class TooManyVocabularies(ParaqueueError):
    """The maximum number of vocabularies is reached."""

    code = "too_many_vocabularies"


class VocabularyNameTaken(ParaqueueError):
    """Another vocabulary has this name."""

    code = "vocabulary_name_taken"


class VocabularyChanged(ParaqueueError):
    """The vocabulary was changed since the caller read it; read it again."""

    code = "vocabulary_changed"


class VoicesOff(ParaqueueError):
    """Known voices are switched off by the operator, or not switched on by the tenant's admin."""

    code = "voices_off"


class TooManyVoices(ParaqueueError):
    """The maximum number of voices, or of samples of a voice, is reached."""

    code = "too_many_voices"


class VoiceNameTaken(ParaqueueError):
    """Another voice has this name."""

    code = "voice_name_taken"


class NoVoicePrint(ParaqueueError):
    """No voice print of the speaker was kept, because voices were switched off, or it rests on too little speech."""

    code = "no_voice_print"


class SummariesNotConfigured(ParaqueueError):
    """`PARAQUEUE_SUMMARY_URL` is not set."""

    code = "summaries_not_configured"


class TooManySummaryTemplates(ParaqueueError):
    """The maximum number of templates for summaries is reached."""

    code = "too_many_summary_templates"


class SummaryTemplateNameTaken(ParaqueueError):
    """Another template for summaries has this name."""

    code = "summary_template_name_taken"


class SummaryTemplateChanged(ParaqueueError):
    """The template was changed since the caller read it; read it again."""

    code = "summary_template_changed"


class SharingOff(ParaqueueError):
    """The operator or the tenant's admin has switched share links off."""

    code = "sharing_off"


class TooManyShares(ParaqueueError):
    """The transcription has the maximum number of share links."""

    code = "too_many_shares"


class Expired(ParaqueueError):
    """The result was deleted after its retention period."""

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
    """The request lacks `Tus-Resumable: 1.0.0`."""

    code = "tus_version"


class UnsupportedMediaType(ParaqueueError):
    """The content type of the body is not supported."""

    code = "unsupported_media_type"


class Unavailable(ParaqueueError):
    """A server that the service depends on is not available."""

    code = "unavailable"
    retryable = True


class StorageFull(ParaqueueError):
    """The storage is full."""

    code = "storage_full"
    retryable = True
