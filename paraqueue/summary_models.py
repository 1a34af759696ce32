"""Summaries of transcripts and templates for them, as the service returns them."""

from __future__ import annotations

from datetime import datetime

from paraqueue.statuses import TERMINAL, Status
from paraqueue.values import Failure, Value


class SummaryTemplateRef(Value):
    """The template that a summary was requested with, and its name at that time."""

    id: str
    name: str


class PreviousSummary(Value):
    """A completed summary that another one is to replace."""

    kind: str
    template: SummaryTemplateRef | None = None
    language: str | None = None
    text: str | None = None
    truncated: bool = False
    stale: bool = False
    model: str | None = None
    finished_at: datetime | None = None


class Summary(Value):
    """The summary of a transcription; `text` is None until it is completed. `stale`: the transcript changed since.

    `previous` is the one that it is to replace, until it is completed.
    """

    transcription_id: str
    status: Status
    kind: str
    template: SummaryTemplateRef | None = None
    language: str | None = None
    progress: float = 0.0
    text: str | None = None
    truncated: bool = False
    stale: bool = False
    model: str | None = None
    prompt: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: Failure | None = None
    previous: PreviousSummary | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether the state is terminal."""
        return self.status in TERMINAL


class SummaryTemplate(Value):
    """Instructions for summaries; `revision` counts the changes."""

    id: str
    name: str
    prompt: str
    revision: int
    created_at: datetime
    updated_at: datetime


class SummaryTemplatePage(Value):
    """A page of templates, newest first."""

    data: tuple[SummaryTemplate, ...]
    next: str | None = None
