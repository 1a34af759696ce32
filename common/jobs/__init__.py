"""The rules of a job's life, from submit to delete. Nothing else reads or writes its rows."""

from common.jobs.control import audio_prefix, cancel, delete_job, retry
from common.jobs.dispatch import dispatch
from common.jobs.dispatcher import Dispatcher
from common.jobs.job import Attempt, Job, JobFailure, Result, Source
from common.jobs.outcome import (
    Finished,
    complete,
    fail,
    release,
    stop_canceled,
    try_again,
)
from common.jobs.read import Page, attempts, counts, get, page, readable, sentences, sentences_after
from common.jobs.registry import (
    Worker,
    forget_dead_workers,
    live_workers,
    register_worker,
    unregister_worker,
)
from common.jobs.submit import Submission, submit
from common.jobs.sweep import (
    Lost,
    delete_orphans,
    expire_audio,
    expire_results,
    take_back_leases,
)
from common.jobs.usage import Dimension, Usage, usage
from common.jobs.work import (
    Claim,
    LeaseLost,
    Progress,
    claim,
    commit_part,
    record_audio,
    renew,
    restart,
)

__all__ = [
    "Attempt",
    "Claim",
    "Dimension",
    "Dispatcher",
    "Finished",
    "Job",
    "JobFailure",
    "LeaseLost",
    "Lost",
    "Page",
    "Progress",
    "Result",
    "Source",
    "Submission",
    "Usage",
    "Worker",
    "attempts",
    "audio_prefix",
    "cancel",
    "claim",
    "commit_part",
    "complete",
    "counts",
    "delete_job",
    "delete_orphans",
    "dispatch",
    "expire_audio",
    "expire_results",
    "fail",
    "forget_dead_workers",
    "get",
    "live_workers",
    "page",
    "readable",
    "record_audio",
    "register_worker",
    "release",
    "renew",
    "restart",
    "retry",
    "sentences",
    "sentences_after",
    "stop_canceled",
    "submit",
    "take_back_leases",
    "try_again",
    "unregister_worker",
    "usage",
]
