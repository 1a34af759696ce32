"""Create the jobs of a request and its response; both are committed together."""

from __future__ import annotations

from fastapi import Request, Response

from api.auth.callers import Caller
from api.deps import Service, public_url
from api.http.threads import in_thread
from api.transcriptions.batch_schemas import batch_detail_of
from api.transcriptions.job_json import transcription_json
from api.transcriptions.submitting.idempotency import Key, response_of
from api.transcriptions.submitting.options import SubmitLinks
from api.transcriptions.submitting.submit import Asked, batch_of, discard, submission_of
from common import jobs, summaries
from common.db import Database
from common.errors import Unavailable
from common.idempotency import StoredResponse
from common.jobs import BatchSubmission, Estimate, Job, Served, Submission
from common.keys import Scope


async def accepted(request: Request, service: Service, caller: Caller, parsed: Asked, key: Key) -> Response:
    """Return the response to a submission: for a new job, a batch, or that of an earlier request."""
    base_url = public_url(request)
    try:
        replayed = key.replay(parsed.fingerprint)
        if replayed is not None:
            await discard(service.storage, parsed.file)
            return replayed
        if isinstance(parsed.options, SubmitLinks):
            batch = await batch_of(service, caller, parsed.options)
            answer = await in_thread(_batch_submitted, service, parsed, key, batch, base_url)
        else:
            submission = await submission_of(service, caller, parsed)
            # Callers that may not read do not see other keys' jobs; a worker still reuses the earlier transcript.
            earlier = await _earlier(service, submission) if Scope.READ in caller.scopes else None
            if earlier is not None:
                await discard(service.storage, parsed.file)
                answer = await in_thread(_found, service, parsed, key, submission, earlier, base_url)
                if submission.summary is not None:
                    service.dispatcher.wake_for_light_work()
                return response_of(answer)
            answer = await in_thread(_submitted, service, parsed, key, submission, base_url)
    except Unavailable:
        raise  # the commit may have succeeded: if not, the sweep finds the file
    except BaseException:
        await discard(service.storage, parsed.file)
        raise
    service.dispatcher.wake()
    return response_of(answer)


async def _earlier(service: Service, submission: Submission) -> Job | None:
    """With `dedupe`, return the job whose transcript can be reused. Uploads only: a link's audio is not known yet."""
    if not submission.dedupe or submission.audio_sha256 is None:
        return None
    served = await in_thread(served_now, service.database, submission.model)
    return await in_thread(jobs.find_duplicate, service.database, submission, served=served)


def served_now(database: Database, model: str) -> Served:
    """Return the revisions of a model that live workers serve, and how these divide speech by default."""
    workers = [worker for worker in jobs.live_workers(database) if worker.model == model]
    revisions = frozenset(worker.revision for worker in workers)
    return Served(revisions, frozenset(worker.card.segmentation for worker in workers))


def _found(
    service: Service, parsed: Asked, key: Key, submission: Submission, earlier: Job, base_url: str
) -> StoredResponse:
    answer = StoredResponse(parsed.fingerprint, 200, *transcription_json(earlier, base_url, Estimate()))
    with service.database.transaction() as session:
        if submission.summary is not None:
            wanted, key_id = submission.summary, submission.key_id
            summaries.request_missing_in(session, earlier.id, wanted, tenant=submission.tenant, key_id=key_id)
        key.keep(session, answer, job_id=earlier.id)
    return answer


def _submitted(service: Service, parsed: Asked, key: Key, submission: Submission, base_url: str) -> StoredResponse:
    if key.held is None:
        job = jobs.submit(service.database, submission)
        return _answer_with(parsed, job, base_url, service.estimates.of(job))
    with service.database.transaction() as session:
        job = jobs.submit_in(session, submission)
        # Without an estimate: the queue is not queried in the middle of a transaction.
        answer = _answer_with(parsed, job, base_url, Estimate())
        key.keep(session, answer, job_id=job.id)
    return answer


def _answer_with(parsed: Asked, job: Job, base_url: str, estimate: Estimate) -> StoredResponse:
    return StoredResponse(parsed.fingerprint, 202, *transcription_json(job, base_url, estimate))


def _batch_submitted(
    service: Service, parsed: Asked, key: Key, batch: BatchSubmission, base_url: str
) -> StoredResponse:
    with service.database.transaction() as session:
        made, members = jobs.submit_batch(session, batch)
        shown = batch_detail_of(made, members, base_url)
        answer = StoredResponse(parsed.fingerprint, 202, shown.model_dump_json().encode(), shown.links.self)
        key.keep(session, answer, batch_id=made.id)
    return answer
