"""The error family: every error code of the service, a module per subject.

`docs/errors.md` is generated from this package, with a section per module; only `api/http/problems.py` maps codes to
HTTP statuses.
"""

from __future__ import annotations

from types import ModuleType

from common.errors import audio, family, requests, service, sources, summaries
from common.errors.audio import (
    AudioEmpty,
    AudioMissing,
    AudioNotDecodable,
    AudioTooLong,
    AudioTruncated,
    DecodeLimit,
    DecodeStalled,
    TrackNotFound,
)
from common.errors.family import (
    Internal,
    ParaqueueError,
)
from common.errors.requests import (
    ChecksumMismatch,
    EditConflict,
    Expired,
    Forbidden,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidRequest,
    NoSpeakers,
    NotAcceptable,
    NotFound,
    NoTranscript,
    NotReady,
    OffsetMismatch,
    QuotaExceeded,
    RateLimited,
    SessionsNotConfigured,
    SharingOff,
    SpeakersUnsupported,
    StorageFull,
    SummariesNotConfigured,
    SummaryTemplateChanged,
    SummaryTemplateNameTaken,
    TooManyShares,
    TooManySummaryTemplates,
    TooManyVocabularies,
    TooManyWebhooks,
    TusVersion,
    Unauthenticated,
    Unavailable,
    UnknownModel,
    UnsupportedLanguage,
    UnsupportedMediaType,
    UploadIncomplete,
    UploadLocked,
    UploadTooLarge,
    VocabularyChanged,
    VocabularyNameTaken,
    WebhooksNotConfigured,
    WrongState,
)
from common.errors.service import (
    ConfigurationError,
    ModelUnavailable,
    OutOfMemory,
    Poison,
    WorkerLost,
)
from common.errors.sources import (
    SourceDenied,
    SourceNotAllowed,
    SourceNotAudio,
    SourceNotFound,
    SourceNotReady,
    SourceRateTooLow,
    SourceTooLarge,
    SourceTooSlow,
    SourceUnreachable,
    StorageUnavailable,
)
from common.errors.summaries import (
    SummaryEmpty,
    SummaryInvalid,
    SummaryLost,
    SummaryRejected,
    SummaryUnavailable,
)

__all__ = [
    "AudioEmpty",
    "AudioMissing",
    "AudioNotDecodable",
    "AudioTooLong",
    "AudioTruncated",
    "ChecksumMismatch",
    "ConfigurationError",
    "DecodeLimit",
    "DecodeStalled",
    "EditConflict",
    "Expired",
    "Forbidden",
    "IdempotencyKeyInUse",
    "IdempotencyKeyReused",
    "Internal",
    "InvalidRequest",
    "ModelUnavailable",
    "NoSpeakers",
    "NoTranscript",
    "NotAcceptable",
    "NotFound",
    "NotReady",
    "OffsetMismatch",
    "OutOfMemory",
    "ParaqueueError",
    "Poison",
    "QuotaExceeded",
    "RateLimited",
    "SessionsNotConfigured",
    "SharingOff",
    "SourceDenied",
    "SourceNotAllowed",
    "SourceNotAudio",
    "SourceNotFound",
    "SourceNotReady",
    "SourceRateTooLow",
    "SourceTooLarge",
    "SourceTooSlow",
    "SourceUnreachable",
    "SpeakersUnsupported",
    "StorageFull",
    "StorageUnavailable",
    "SummariesNotConfigured",
    "SummaryEmpty",
    "SummaryInvalid",
    "SummaryLost",
    "SummaryRejected",
    "SummaryTemplateChanged",
    "SummaryTemplateNameTaken",
    "SummaryUnavailable",
    "TooManyShares",
    "TooManySummaryTemplates",
    "TooManyVocabularies",
    "TooManyWebhooks",
    "TrackNotFound",
    "TusVersion",
    "Unauthenticated",
    "Unavailable",
    "UnknownModel",
    "UnsupportedLanguage",
    "UnsupportedMediaType",
    "UploadIncomplete",
    "UploadLocked",
    "UploadTooLarge",
    "VocabularyChanged",
    "VocabularyNameTaken",
    "WebhooksNotConfigured",
    "WorkerLost",
    "WrongState",
    "all_errors",
    "by_subject",
]

SUBJECTS = {
    "Request errors": (family, requests),
    "Job errors: fetching the audio": (sources,),
    "Job errors: the audio": (audio,),
    "Job errors: the service": (service,),
    "Errors of summaries": (summaries,),
}


def by_subject() -> dict[str, list[type[ParaqueueError]]]:
    """Return every error class in definition order, under the title of its subject."""
    return {title: _defined_in(modules) for title, modules in SUBJECTS.items()}


def all_errors() -> list[type[ParaqueueError]]:
    """Return every error class of this package, in definition order."""
    return [kind for kinds in by_subject().values() for kind in kinds]


def _defined_in(modules: tuple[ModuleType, ...]) -> list[type[ParaqueueError]]:
    kinds = ParaqueueError.__subclasses__()
    return [kind for module in modules for kind in kinds if kind.__module__ == module.__name__]
