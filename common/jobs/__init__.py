"""The rules of the job lifecycle, from submission to deletion; only this package changes job rows.

`common.webhooks` and `common.uploads` read job rows in the same transactions and write rows of their own.
"""

from common.jobs.accounting.quota import Allowance, Quota
from common.jobs.accounting.usage import Dimension, Usage, usage
from common.jobs.job import Attempt, Job, JobFailure, Result, Source
from common.jobs.lifecycle.attempts import (
    LeaseLost,
    Progress,
    Renewal,
    commit_part,
    give_up_lease,
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
from common.jobs.lifecycle.claims import Claim, Holder, NextClaim, claim, claim_next
from common.jobs.lifecycle.control import cancel, delete_job, retry, retry_in
from common.jobs.lifecycle.dedup import Served, complete_from_duplicate, find_duplicate, find_or_submit
from common.jobs.lifecycle.expiry import Expiry, expiry_of
from common.jobs.lifecycle.labels import MOST_TAGS, relabel
from common.jobs.lifecycle.links import DownloadLimits, claim_links
from common.jobs.lifecycle.outcomes import (
    FetchedAudio,
    Finished,
    abandon_claim,
    complete,
    fail,
    hand_over,
    release,
    stop_canceled,
    try_again,
)
from common.jobs.lifecycle.requeue import Requeued, requeue
from common.jobs.lifecycle.rescue import RescuedJob, rescue_expired
from common.jobs.lifecycle.retention import (
    delete_orphans,
    expire_audio,
    expire_batches,
    expire_jobs,
    expire_results,
    expire_usage,
)
from common.jobs.lifecycle.speakers import Attributed, speaker_windows
from common.jobs.lifecycle.submit import Submission, submit, submit_in
from common.jobs.monitoring.stats import QueueStats, WorkerCounts, queue_stats
from common.jobs.monitoring.stuck import Stuck, StuckKind, find_stuck
from common.jobs.reading.edits import Corrected, Correction, correct, correct_all
from common.jobs.reading.history import Revision, Structure, history
from common.jobs.reading.pages import Page, Sort, page
from common.jobs.reading.read import attempts, check_kept, get, get_with_attempts, readable
from common.jobs.reading.search import Hit, Hits, search
from common.jobs.reading.sentences import last_number, sentence, sentences, sentences_after
from common.jobs.reading.speakers import assign_sentence, merge_speakers, name_speaker, speakers
from common.jobs.reading.structure import Seen, merge, split
from common.jobs.scheduling.dispatch import dispatch
from common.jobs.scheduling.dispatcher import Dispatcher
from common.jobs.scheduling.estimates import Estimate, Estimates
from common.jobs.scheduling.quarantine import forgive_crash
from common.jobs.scheduling.queue_queries import DispatchLimits
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
    speaker_models,
    unregister_worker,
)

__all__ = [
    "MOST_TAGS",
    "Allowance",
    "Attempt",
    "Attributed",
    "Batch",
    "BatchPage",
    "BatchSubmission",
    "Claim",
    "Corrected",
    "Correction",
    "Dimension",
    "DispatchLimits",
    "Dispatcher",
    "DownloadLimits",
    "Drain",
    "Estimate",
    "Estimates",
    "Expiry",
    "FetchedAudio",
    "Finished",
    "Hit",
    "Hits",
    "Holder",
    "Job",
    "JobFailure",
    "LeaseLost",
    "NextClaim",
    "Page",
    "Progress",
    "QueueStats",
    "Quota",
    "Refused",
    "Renewal",
    "Requeued",
    "RescuedJob",
    "Result",
    "Revision",
    "Seen",
    "Served",
    "Sort",
    "Source",
    "Structure",
    "Stuck",
    "StuckKind",
    "Submission",
    "Usage",
    "Worker",
    "WorkerCounts",
    "WorkerState",
    "abandon_claim",
    "ask_to_drain",
    "assign_sentence",
    "attempts",
    "batch_page",
    "cancel",
    "check_kept",
    "claim",
    "claim_links",
    "claim_next",
    "commit_part",
    "complete",
    "complete_from_duplicate",
    "correct",
    "correct_all",
    "delete_job",
    "delete_orphans",
    "dispatch",
    "expire_audio",
    "expire_batches",
    "expire_jobs",
    "expire_results",
    "expire_usage",
    "expiry_of",
    "fail",
    "find_duplicate",
    "find_or_submit",
    "find_stuck",
    "forget_dead_workers",
    "forgive_crash",
    "get",
    "get_batch",
    "get_with_attempts",
    "give_up_lease",
    "hand_over",
    "history",
    "known_card",
    "known_workers",
    "last_number",
    "live_workers",
    "merge",
    "merge_speakers",
    "name_speaker",
    "page",
    "queue_stats",
    "readable",
    "record_audio",
    "register_worker",
    "relabel",
    "release",
    "renew",
    "requeue",
    "rescue_expired",
    "restart",
    "retry",
    "retry_in",
    "search",
    "sentence",
    "sentences",
    "sentences_after",
    "speaker_models",
    "speaker_windows",
    "speakers",
    "split",
    "stop_canceled",
    "submit",
    "submit_batch",
    "submit_in",
    "try_again",
    "unregister_worker",
    "usage",
]
