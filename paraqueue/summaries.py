"""Operations on summaries of transcripts, and on the templates for them (see `paraqueue.exchange`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from paraqueue.errors import SummaryNotReady
from paraqueue.exchange import Operation, Pause, Send, given, request
from paraqueue.exports import JOBS

if TYPE_CHECKING:
    import httpx

    from paraqueue.models import Summary, SummaryTemplate, SummaryTemplatePage

TEMPLATES = "/v1/summary-templates"
POLL_SECONDS = 2.0
SummaryKind = Literal["minutes", "decisions", "todos"]
SummaryLanguage = Literal["zh", "en"]


def summarize(
    id: str,
    *,
    kind: SummaryKind | None = None,
    template_id: str | None = None,
    language: SummaryLanguage | None = None,
) -> Operation[Summary]:
    """Request a summary: of a built-in kind (default: minutes) or with a template.

    It replaces an earlier one when it is completed; until then, that is its `previous`.

    Returns without waiting for it; see `wait_for_summary`. The language is the transcript's unless given. Raises
    NotFound, ApiError (`summaries_not_configured`, `wrong_state` while another is being made, `no_transcript`).
    """
    body = given(kind=kind, template_id=template_id, language=language)
    return _summary_in((yield from request(Send("POST", f"{JOBS}/{id}/summary", json=body), safe=False)))


def summary(id: str) -> Operation[Summary]:
    """The summary of a transcription, whatever its state. Raises NotFound if none was requested."""
    return _summary_in((yield from request(Send("GET", f"{JOBS}/{id}/summary"))))


def wait_for_summary(id: str, *, timeout: float | None = None) -> Operation[Summary]:
    """Wait until the summary of a transcription has ended, with any outcome.

    Raises NotFound if none was requested, or it was deleted; SummaryNotReady after `timeout` seconds (None: no limit).
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        current = yield from summary(id)
        if current.ended:
            return current
        if deadline is not None and time.monotonic() >= deadline:
            raise SummaryNotReady(current, timeout or 0.0)
        yield Pause(POLL_SECONDS if deadline is None else min(POLL_SECONDS, max(deadline - time.monotonic(), 0.0)))


def delete_summary(id: str) -> Operation[None]:
    """Cancel a summary that is queued or processing, or delete one that has ended. Raises NotFound.

    With the second, an earlier one that it has not replaced (`previous`) is deleted too.
    """
    yield from request(Send("DELETE", f"{JOBS}/{id}/summary"), safe=False)


def summary_templates(*, after: str | None = None, limit: int = 20) -> Operation[SummaryTemplatePage]:
    """A page of templates, newest first."""
    from paraqueue.models import SummaryTemplatePage

    answer = yield from request(Send("GET", TEMPLATES, {"limit": limit} | given(after=after)))
    return SummaryTemplatePage.model_validate_json(answer.content)


def summary_template(id: str) -> Operation[SummaryTemplate]:
    """A template. Raises NotFound."""
    return _template_in((yield from request(Send("GET", f"{TEMPLATES}/{id}"))))


def create_summary_template(name: str, prompt: str) -> Operation[SummaryTemplate]:
    """Create a template. Raises ApiError (`summary_template_name_taken`)."""
    send = Send("POST", TEMPLATES, json={"name": name, "prompt": prompt})
    return _template_in((yield from request(send, safe=False)))


def update_summary_template(
    id: str, *, name: str | None = None, prompt: str | None = None, revision: int | None = None
) -> Operation[SummaryTemplate]:
    """Change a template; None leaves a value as it is. Summaries that were requested before keep the old one.

    With `revision`, the one that you read, ApiError (`summary_template_changed`) is raised if there is a newer one.
    Raises NotFound, ApiError (`summary_template_name_taken`).
    """
    send = Send("PATCH", f"{TEMPLATES}/{id}", json=given(name=name, prompt=prompt, revision=revision))
    # Sent twice, a change with a revision would be refused the second time.
    return _template_in((yield from request(send, safe=revision is None)))


def delete_summary_template(id: str) -> Operation[None]:
    """Delete a template; summaries that were made with it keep its text. Raises NotFound."""
    yield from request(Send("DELETE", f"{TEMPLATES}/{id}"), safe=False)


def _summary_in(answer: httpx.Response) -> Summary:
    from paraqueue.models import Summary

    return Summary.model_validate_json(answer.content)


def _template_in(answer: httpx.Response) -> SummaryTemplate:
    from paraqueue.models import SummaryTemplate

    return SummaryTemplate.model_validate_json(answer.content)
