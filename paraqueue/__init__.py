"""The client for a Paraqueue installation: submit long audio, follow its progress, read the transcript.

>>> from paraqueue import Client
>>> with Client() as client:                                     # doctest: +SKIP
...     print(client.transcribe("meeting.mp3").text)
"""

from paraqueue.client import AsyncClient, Client
from paraqueue.errors import (
    ApiError,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    JobEnded,
    NotFound,
    ParaqueueError,
    WaitedTooLong,
)
from paraqueue.models import (
    Attempt,
    Edit,
    Failure,
    Model,
    Page,
    Result,
    Sentence,
    Source,
    Transcript,
    Transcription,
    Usage,
    Word,
)
from paraqueue.webhooks import Event, UnverifiedWebhook, verify_webhook

__all__ = [
    "ApiError",
    "AsyncClient",
    "Attempt",
    "AuthenticationFailed",
    "Client",
    "ConfigurationError",
    "ConnectionFailed",
    "Edit",
    "Event",
    "Failure",
    "JobEnded",
    "Model",
    "NotFound",
    "Page",
    "ParaqueueError",
    "Result",
    "Sentence",
    "Source",
    "Transcript",
    "Transcription",
    "UnverifiedWebhook",
    "Usage",
    "WaitedTooLong",
    "Word",
    "verify_webhook",
]
