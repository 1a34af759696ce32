"""The client for a Paraqueue installation: submit long audio, follow its progress, read the transcript.

>>> from paraqueue import Client
>>> with Client() as client:                                     # doctest: +SKIP
...     print(client.transcribe("meeting.mp3").text)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paraqueue.async_client import AsyncClient
    from paraqueue.audio_sources import AudioSource
    from paraqueue.client import Client
    from paraqueue.errors import (
        ApiError,
        AuthenticationFailed,
        ConfigurationError,
        ConnectionFailed,
        JobEnded,
        NotFound,
        ParaqueueError,
        SummaryNotReady,
        WaitedTooLong,
    )
    from paraqueue.models import (
        Attempt,
        Batch,
        BatchItem,
        BatchPage,
        Corrected,
        Correction,
        Delivery,
        DeliveryPage,
        Edit,
        Failure,
        Hit,
        Model,
        NumberedSentence,
        Page,
        PreviousSummary,
        Result,
        Revision,
        SearchPage,
        Sentence,
        SentencePage,
        Share,
        Source,
        Speaker,
        Structure,
        Summary,
        SummaryTemplate,
        SummaryTemplatePage,
        Transcript,
        Transcription,
        Usage,
        Vocabulary,
        VocabularyPage,
        Webhook,
        Word,
    )
    from paraqueue.statuses import Sort, Stage, Status
    from paraqueue.voice_models import Consent, Voice, VoicePage, VoiceSample
    from paraqueue.webhooks import Event, UnverifiedWebhook, verify_webhook

# Names are imported when they are first used: pydantic and httpx take longer to import than a short command takes to
# run. Those that are not listed here are models.
_HOME = {
    "paraqueue.async_client": ("AsyncClient",),
    "paraqueue.audio_sources": ("AudioSource",),
    "paraqueue.client": ("Client",),
    "paraqueue.errors": (
        "ApiError",
        "AuthenticationFailed",
        "ConfigurationError",
        "ConnectionFailed",
        "JobEnded",
        "NotFound",
        "ParaqueueError",
        "SummaryNotReady",
        "WaitedTooLong",
    ),
    "paraqueue.statuses": ("Sort", "Stage", "Status"),
    "paraqueue.voice_models": ("Consent", "Voice", "VoicePage", "VoiceSample"),
    "paraqueue.webhooks": ("Event", "UnverifiedWebhook", "verify_webhook"),
}
__all__ = [
    "ApiError",
    "AsyncClient",
    "Attempt",
    "AudioSource",
    "AuthenticationFailed",
    "Batch",
    "BatchItem",
    "BatchPage",
    "Client",
    "ConfigurationError",
    "ConnectionFailed",
    "Consent",
    "Corrected",
    "Correction",
    "Delivery",
    "DeliveryPage",
    "Edit",
    "Event",
    "Failure",
    "Hit",
    "JobEnded",
    "Model",
    "NotFound",
    "NumberedSentence",
    "Page",
    "ParaqueueError",
    "PreviousSummary",
    "Result",
    "Revision",
    "SearchPage",
    "Sentence",
    "SentencePage",
    "Share",
    "Sort",
    "Source",
    "Speaker",
    "Stage",
    "Status",
    "Structure",
    "Summary",
    "SummaryNotReady",
    "SummaryTemplate",
    "SummaryTemplatePage",
    "Transcript",
    "Transcription",
    "UnverifiedWebhook",
    "Usage",
    "Vocabulary",
    "VocabularyPage",
    "Voice",
    "VoicePage",
    "VoiceSample",
    "WaitedTooLong",
    "Webhook",
    "Word",
    "verify_webhook",
]
_MODULES = dict.fromkeys(__all__, "paraqueue.models") | {
    name: module for module, names in _HOME.items() for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
