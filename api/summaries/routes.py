"""Summaries of transcriptions: request, read, cancel or delete."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Response

from api.deps import DatabaseDep, QueueDep, ReadCaller, SettingsDep, SubmitCaller, job_uuid, v1_router
from api.http.error_responses import errors_of
from api.summaries.schemas import SummaryCreate, SummaryOut, summary_out
from common import errors, jobs, summaries
from common.errors import SummariesNotConfigured, Unavailable
from common.keys import Scope
from common.queue import Publisher
from common.settings import Settings

router = v1_router("/v1/transcriptions", "summaries")
JobId = Annotated[uuid.UUID, Depends(job_uuid)]
OF_REQUESTS = errors_of(errors.SummariesNotConfigured, errors.WrongState, errors.NoTranscript, errors.Expired)


def check_configured(settings: Settings) -> None:
    """Raise SummariesNotConfigured if this installation makes no summaries."""
    if not settings.summaries:
        raise SummariesNotConfigured("summaries are not configured: PARAQUEUE_SUMMARY_URL is not set")


@router.post("/{transcription_id}/summary", status_code=202, responses=OF_REQUESTS)
def create_summary(
    settings: SettingsDep,
    database: DatabaseDep,
    queue: QueueDep,
    caller: SubmitCaller,
    job_id: JobId,
    body: SummaryCreate,
) -> SummaryOut:
    """Request a summary. Before the transcription ends, it waits for that.

    An earlier one stays readable as `previous` until the new one is completed, also if that fails or is canceled.

    The text of the transcript, with the names of speakers, is sent to the language model that the operator has chosen.
    """
    job = jobs.get(database, job_id, tenant=caller.tenant)
    check_configured(settings)
    chosen = body.template_id or body.kind or "minutes"
    wanted = summaries.chosen(database, chosen, tenant=caller.tenant, language=body.language)
    summary = summaries.request(database, job.id, wanted, tenant=caller.tenant, key_id=caller.key_id)
    with suppress(Unavailable):  # the light worker's sweep finds it too
        Publisher(queue).wake_summarizers()
    return summary_out(summary, reads=Scope.READ in caller.scopes)


@router.get("/{transcription_id}/summary")
def get_summary(database: DatabaseDep, caller: ReadCaller, job_id: JobId) -> SummaryOut:
    """The summary of a transcription, whatever its state; `404` if none was requested."""
    job = jobs.get(database, job_id, tenant=caller.tenant)
    return summary_out(summaries.get(database, job.id))


@router.delete("/{transcription_id}/summary", status_code=204, response_class=Response)
def delete_summary(database: DatabaseDep, caller: SubmitCaller, job_id: JobId) -> None:
    """Cancel a summary that is queued or processing, or delete one that has ended, with its `previous` one."""
    job = jobs.get(database, job_id, tenant=caller.tenant)
    summaries.remove(database, job.id)
