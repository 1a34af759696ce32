"""Making the jobs that a request asks for, and the answer to it; both are committed together."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from api.auth.callers import Caller
from api.deps import Service, public_url
from api.transcriptions.batch_schemas import batch_detail_of
from api.transcriptions.idempotency import Key, answer_of, response_of
from api.transcriptions.schemas import SubmitLinks, transcription_of
from api.transcriptions.submit import Asked, batch_of, discard, submission_of
from common import jobs
from common.db import Database
from common.errors import Unavailable
from common.idempotency import StoredResponse
from common.jobs import BatchSubmission, Estimate, Job, Submission
from common.keys import Scope


async def accepted(request: Request, service: Service, caller: Caller, asked: Asked, key: Key) -> Response:
    """The answer to a submit: of a new job, of a batch, or the one that an earlier request got."""
    base_url = public_url(request, service)
    try:
        replayed = key.replay(asked.fingerprint)
        if replayed is not None:
            await discard(service.storage, asked.file)
            return replayed
        if isinstance(asked.options, SubmitLinks):
            batch = await batch_of(service, caller, asked.options)
            answer = await run_in_threadpool(_batch_submitted, service, asked, key, batch, base_url)
        else:
            submission = await submission_of(service, caller, asked)
            # Whoever may not read is not told of other keys' jobs; a worker still takes the earlier transcript over.
            earlier = await _earlier(service, submission) if Scope.READ in caller.scopes else None
            if earlier is not None:
                await discard(service.storage, asked.file)
                return response_of(await run_in_threadpool(_found, service, asked, key, earlier, base_url))
            answer = await run_in_threadpool(_submitted, service, asked, key, submission, base_url)
    except Unavailable:
        raise  # the commit may have succeeded: if not, the sweep finds the file
    except BaseException:
        await discard(service.storage, asked.file)
        raise
    service.dispatcher.wake()
    return response_of(answer)


async def _earlier(service: Service, submission: Submission) -> Job | None:
    """With `dedupe`, the job whose transcript it would be. Of an upload only: a link's audio is not known yet."""
    if not submission.dedupe or submission.audio_sha256 is None:
        return None
    revisions = await run_in_threadpool(served_revisions, service.database, submission.model)
    return await run_in_threadpool(jobs.find_duplicate, service.database, submission, revisions=revisions)


def served_revisions(database: Database, model: str) -> set[str]:
    """The revisions of a model that live workers have; none where no worker is there to ask."""
    return {worker.revision for worker in jobs.live_workers(database) if worker.model == model}


def _found(service: Service, asked: Asked, key: Key, earlier: Job, base_url: str) -> StoredResponse:
    shown = transcription_of(earlier, base_url, Estimate())
    answer = answer_of(asked.fingerprint, 200, shown, shown.links.self)
    with service.database.transaction() as session:
        key.keep(session, answer, job_id=earlier.id)
    return answer


def _submitted(service: Service, asked: Asked, key: Key, submission: Submission, base_url: str) -> StoredResponse:
    with service.database.transaction() as session:
        job = jobs.submit_in(session, submission)
        # Without an estimate: nobody looks at the queue in the middle of a transaction.
        answer = _answer_with(asked, job, base_url, Estimate())
        key.keep(session, answer, job_id=job.id)
    return answer if key.held is not None else _answer_with(asked, job, base_url, service.estimates.of(job))


def _answer_with(asked: Asked, job: Job, base_url: str, estimate: Estimate) -> StoredResponse:
    shown = transcription_of(job, base_url, estimate)
    return answer_of(asked.fingerprint, 202, shown, shown.links.self)


def _batch_submitted(service: Service, asked: Asked, key: Key, batch: BatchSubmission, base_url: str) -> StoredResponse:
    with service.database.transaction() as session:
        made, members = jobs.submit_batch(session, batch)
        shown = batch_detail_of(made, members, base_url)
        answer = answer_of(asked.fingerprint, 202, shown, shown.links.self)
        key.keep(session, answer, batch_id=made.id)
    return answer
