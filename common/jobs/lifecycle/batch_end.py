"""The end of a batch: reported once, in the transaction that ends its last job."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from common import webhooks
from common.job_states import TERMINAL, Status
from common.models import BatchRow, JobRow
from common.webhooks import EndedBatch, OwnUrl


def held_batches(session: Session, jobs: Sequence[Row[Any]]) -> dict[uuid.UUID, OwnUrl]:
    """Return the batches of those of the given jobs (`webhooks.started`) that ended, each locked until the commit.

    The last two jobs may end at the same moment, and neither transaction sees the other's change. The lock makes the
    later one wait for the earlier one's commit, after which it sees both. Call this before webhook endpoints are
    locked.
    """
    ended = [job for job in jobs if job.batch_id is not None and job.status in TERMINAL]
    held: dict[uuid.UUID, OwnUrl] = {job.batch_id: OwnUrl(job.webhook_url, job.webhook_events) for job in ended}
    if held:  # always in the same order: the sweep ends jobs of several batches
        lock = select(BatchRow.id).where(BatchRow.id.in_(held)).order_by(BatchRow.id)
        session.execute(lock.with_for_update(key_share=True)).all()
    return held


def tell_ends(session: Session, held: Mapping[uuid.UUID, OwnUrl]) -> None:
    """Write the webhook events of those held batches whose jobs are all in a terminal state."""
    if not held:
        return
    counted = session.execute(
        select(JobRow.batch_id, JobRow.status, func.count())
        .where(JobRow.batch_id.in_(held))
        .group_by(JobRow.batch_id, JobRow.status)
    ).all()
    counts: dict[uuid.UUID, dict[str, int]] = {batch_id: {} for batch_id in held}
    for batch_id, status, number in counted:
        if batch_id is not None:
            counts[batch_id][status] = number
    done = [batch_id for batch_id, states in counts.items() if TERMINAL.issuperset(map(Status, states))]
    rows = session.scalars(select(BatchRow).where(BatchRow.id.in_(done)).order_by(BatchRow.id)).all()
    webhooks.announce_batches(session, [EndedBatch(row, counts[row.id], held[row.id]) for row in rows])
