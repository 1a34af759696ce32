"""The rules of a job's life, from submit to delete. Nothing else reads or writes its rows."""

from common.jobs.accounting.quota import Quota
from common.jobs.accounting.usage import Dimension, Usage, usage
from common.jobs.job import Attempt, Job, JobFailure, Result, Source
from common.jobs.lifecycle.attempts import (
    Claim,
    LeaseLost,
    Progress,
    Renewal,
    claim,
    commit_part,
    record_audio,
    renew,
    restart,
)
from common.jobs.lifecycle.batches import (
    Batch,
    BatchPage,
    BatchSubmission,
    Refused,
    batch_page,
    get_batch,
    submit_batch,
)
from common.jobs.lifecycle.control import audio_prefix, cancel, delete_job, retry, retry_in
from common.jobs.lifecycle.dedup import complete_from_earlier, find_earlier, find_or_submit
from common.jobs.lifecycle.outcomes import (
    Finished,
    complete,
    fail,
    release,
    stop_canceled,
    try_again,
)
from common.jobs.lifecycle.requeue import Requeued, requeue
from common.jobs.lifecycle.retention import (
    Lost,
    delete_orphans,
    expire_audio,
    expire_results,
    take_back_leases,
)
from common.jobs.lifecycle.submit import Submission, submit, submit_in
from common.jobs.monitoring.stats import Crew, Figures, figures
from common.jobs.monitoring.stuck import Stuck, StuckKind, find_stuck
from common.jobs.reading.edits import correct
from common.jobs.reading.read import (
    Page,
    attempts,
    get,
    get_with_attempts,
    page,
    readable,
    sentence,
    sentences,
    sentences_after,
)
from common.jobs.reading.search import Hit, Hits, search
from common.jobs.scheduling.dispatch import dispatch
from common.jobs.scheduling.dispatcher import Dispatcher
from common.jobs.scheduling.estimates import Estimate, Outlook
from common.jobs.scheduling.quarantine import forgive_loss
from common.jobs.scheduling.workers import (
    Drain,
    Worker,
    WorkerState,
    ask_to_drain,
    forget_dead_workers,
    known_card,
    known_workers,
    live_workers,
    register_worker,
    unregister_worker,
)

__all__ = [
    "Attempt",
    "Batch",
    "BatchPage",
    "BatchSubmission",
    "Claim",
    "Crew",
    "Dimension",
    "Dispatcher",
    "Drain",
    "Estimate",
    "Figures",
    "Finished",
    "Hit",
    "Hits",
    "Job",
    "JobFailure",
    "LeaseLost",
    "Lost",
    "Outlook",
    "Page",
    "Progress",
    "Quota",
    "Refused",
    "Renewal",
    "Requeued",
    "Result",
    "Source",
    "Stuck",
    "StuckKind",
    "Submission",
    "Usage",
    "Worker",
    "WorkerState",
    "ask_to_drain",
    "attempts",
    "audio_prefix",
    "batch_page",
    "cancel",
    "claim",
    "commit_part",
    "complete",
    "complete_from_earlier",
    "correct",
    "delete_job",
    "delete_orphans",
    "dispatch",
    "expire_audio",
    "expire_results",
    "fail",
    "figures",
    "find_earlier",
    "find_or_submit",
    "find_stuck",
    "forget_dead_workers",
    "forgive_loss",
    "get",
    "get_batch",
    "get_with_attempts",
    "known_card",
    "known_workers",
    "live_workers",
    "page",
    "readable",
    "record_audio",
    "register_worker",
    "release",
    "renew",
    "requeue",
    "restart",
    "retry",
    "retry_in",
    "search",
    "sentence",
    "sentences",
    "sentences_after",
    "stop_canceled",
    "submit",
    "submit_batch",
    "submit_in",
    "take_back_leases",
    "try_again",
    "unregister_worker",
    "usage",
]
