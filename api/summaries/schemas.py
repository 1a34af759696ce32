"""Requests and responses about summaries and their templates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from api.http.bodies import StrictBody
from common import ids
from common.job_states import Status
from common.summaries import Kind, Language, PreviousSummary, Summary, Template, Wanted
from common.summaries.templates import LONGEST_PROMPT

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="Unique among the tenant's templates.", examples=["Client meeting"]),
]
Prompt = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=LONGEST_PROMPT, strip_whitespace=True, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$"
    ),
    Field(
        description="What to write, as one would tell a person. That the transcript is only material, and how it is "
        "marked, is added.",
        examples=["Write a letter to the client that lists what was agreed on, with dates."],
    ),
]


class SummaryCreate(StrictBody):
    """A summary to make."""

    kind: Kind | None = Field(None, description="A built-in kind. Default: `minutes`.")
    template_id: str | None = Field(
        None, max_length=64, description="A template (see `/v1/summary-templates`), instead of `kind`."
    )
    language: Language | None = Field(
        None, description="Language of the summary, and of the built-in instructions. Default: that of the transcript."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.kind is not None and self.template_id is not None:
            raise ValueError("`kind` and `template_id` exclude one another")
        return self


class SummaryErrorOut(BaseModel):
    """Why a summary failed; while `queued` or `processing`, why the last try did."""

    code: str
    message: str
    retryable: bool


class SummaryTemplateRef(BaseModel):
    """The template of a summary, with its name at that time."""

    id: str
    name: str


class PreviousSummaryOut(BaseModel):
    """A completed summary that another one is to replace."""

    kind: Kind | Literal["template"]
    template: SummaryTemplateRef | None
    language: Language | None
    text: str | None
    truncated: bool
    stale: bool
    model: str | None
    finished_at: datetime | None


class SummaryOut(BaseModel):
    """The summary of a transcription."""

    object: Literal["summary"] = "summary"
    transcription_id: str
    status: Status = Field(description="`queued` also while the transcript is not ready.")
    kind: Kind | Literal["template"]
    template: SummaryTemplateRef | None
    language: Language | None = Field(description="Null until it is known.")
    progress: float = Field(ge=0, le=1)
    text: str | None = Field(description="Plain text, often with marks of Markdown; null until it is completed.")
    truncated: bool = Field(description="Whether the model was cut off at its limit.")
    stale: bool = Field(description="Whether the transcript was changed after it was read.")
    model: str | None = Field(description="Name of the language model.")
    prompt: str | None = Field(description="The instructions, without what is added to each.")
    prompt_tokens: int
    completion_tokens: int
    error: SummaryErrorOut | None
    previous: PreviousSummaryOut | None = Field(
        description="The completed summary that this one is to replace. It stays, also in documents, until this one is "
        "`completed`."
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class SummaryTemplateCreate(StrictBody):
    """A template to create."""

    name: Name
    prompt: Prompt


class SummaryTemplateUpdate(StrictBody):
    """Changes of a template; missing and null values leave it unchanged."""

    name: Name | None = None
    prompt: Prompt | None = None
    revision: int | None = Field(
        None, ge=1, le=2**31 - 1, description="The revision that you read; refused if there is a newer one."
    )


class SummaryTemplateOut(BaseModel):
    """A template for summaries."""

    id: str
    object: Literal["summary_template"] = "summary_template"
    name: str
    prompt: str
    revision: int = Field(description="Incremented by each change.")
    created_at: datetime
    updated_at: datetime


class SummaryTemplateList(BaseModel):
    """Some templates, newest first."""

    data: list[SummaryTemplateOut]
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")


def summary_out(summary: Summary, *, reads: bool = True) -> SummaryOut:
    """Convert a summary to its API representation; without `reads`, it shows no text of other people."""
    wanted = summary.wanted
    failure = summary.failure
    values = {
        "transcription_id": ids.shown(ids.JOB, summary.job_id),
        "status": summary.status,
        "kind": wanted.kind,
        "template": _template_ref(wanted, reads=reads),
        "language": wanted.language,
        "progress": summary.progress,
        "text": summary.text if reads else None,
        "truncated": summary.truncated,
        "stale": summary.stale,
        "model": summary.model,
        "prompt": wanted.prompt if reads else None,
        "prompt_tokens": summary.tokens.prompt,
        "completion_tokens": summary.tokens.completion,
        "error": {"code": failure.code, "message": failure.message, "retryable": failure.retryable}
        if failure
        else None,
        "previous": _previous_out(summary.previous, reads=reads) if summary.previous is not None else None,
        "created_at": summary.created_at,
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
    }
    return SummaryOut.model_validate(values)


def _template_ref(wanted: Wanted | PreviousSummary, *, reads: bool) -> SummaryTemplateRef | None:
    if wanted.template_id is None or wanted.template_name is None:
        return None
    shown = ids.shown(ids.SUMMARY_TEMPLATE, wanted.template_id)
    return SummaryTemplateRef(id=shown, name=wanted.template_name if reads else "")


def _previous_out(previous: PreviousSummary, *, reads: bool) -> dict[str, Any]:
    plain = ("kind", "language", "truncated", "stale", "model", "finished_at")
    return {name: getattr(previous, name) for name in plain} | {
        "template": _template_ref(previous, reads=reads),
        "text": previous.text if reads else None,
    }


def template_out(template: Template) -> SummaryTemplateOut:
    """Convert a template to its API representation."""
    return SummaryTemplateOut(
        id=template.public_id,
        name=template.name,
        prompt=template.prompt,
        revision=template.revision,
        created_at=template.created_at,
        updated_at=template.updated_at,
    )
