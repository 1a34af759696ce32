"""Frozen values that represent rows of summaries."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.job_states import Status
from common.models import SummaryRow


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a summary is to be: `kind` is a built-in one, or `template` with the template as it is now.

    `language` is that of the summary; None: the one of the transcript.
    """

    kind: str
    template_id: uuid.UUID | None = None
    template_name: str | None = None
    prompt: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one call or several, as the endpoint counted them."""

    prompt: int = 0
    completion: int = 0


NO_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took: the model's name, and tokens."""

    model: str
    tokens: Tokens = NO_TOKENS


@dataclass(frozen=True, slots=True)
class SummaryFailure:
    """Why a summary could not be made; while it is queued or processing, why the last try failed."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class PreviousSummary:
    """A completed summary that another one is to replace; fields as in `Summary` and `Wanted`."""

    kind: str
    template_id: uuid.UUID | None
    template_name: str | None
    language: str | None
    text: str
    truncated: bool
    stale: bool
    model: str | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of a job. `text` is None until it is completed; `truncated`: the model was cut off.

    `stale`: the transcript was changed since it was read. `previous` is the one to be replaced, until this one is
    completed.
    """

    job_id: uuid.UUID
    created_at: datetime
    status: Status
    wanted: Wanted
    progress: float
    started_at: datetime | None
    finished_at: datetime | None
    text: str | None
    truncated: bool
    stale: bool
    model: str | None
    tokens: Tokens
    failure: SummaryFailure | None
    previous: PreviousSummary | None = None


def summary_of(row: SummaryRow) -> Summary:
    """Convert a row."""
    failure = None
    if row.error_code is not None:
        failure = SummaryFailure(row.error_code, row.error_message or "", bool(row.error_retryable))
    return Summary(
        job_id=row.job_id,
        created_at=row.created_at,
        status=Status(row.status),
        wanted=Wanted(row.kind, row.template_id, row.template_name, row.prompt, row.language),
        progress=row.progress,
        started_at=row.started_at,
        finished_at=row.finished_at,
        text=row.content,
        truncated=row.truncated,
        stale=row.stale,
        model=row.model,
        tokens=Tokens(row.prompt_tokens, row.completion_tokens),
        failure=failure,
        previous=_previous_of(row.previous) if row.previous is not None else None,
    )


def _previous_of(stored: dict[str, Any]) -> PreviousSummary:
    template_id, finished_at = stored["template_id"], stored["finished_at"]
    values = {name: stored[name] for name in ("kind", "template_name", "language", "truncated", "stale", "model")}
    return PreviousSummary(
        **values,
        text=stored["content"],
        template_id=uuid.UUID(template_id) if template_id is not None else None,
        finished_at=datetime.fromisoformat(finished_at) if finished_at is not None else None,
    )
