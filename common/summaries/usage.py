"""The tokens that summaries took; the records outlive the jobs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.db.leases import ago
from common.models import SummaryUsageRow
from common.summaries.summary import Tokens
from common.time_limit import TimeLimit

EXPIRE_AT_A_TIME = 1000


def spend(
    session: Session,
    attempt: uuid.UUID,
    tenant: str,
    key_id: uuid.UUID | None,
    tags: Sequence[str],
    model: str,
    tokens: Tokens,
) -> None:
    """Add the tokens of a call to those of its attempt."""
    values = {"tenant": tenant, "key_id": key_id, "tags": list(tags), "model": model}
    counts = {"prompt_tokens": tokens.prompt, "completion_tokens": tokens.completion}
    statement = insert(SummaryUsageRow).values(id=attempt, **values, **counts)
    more = {name: getattr(SummaryUsageRow, name) + count for name, count in counts.items()}
    session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=more))


def expire_usage(database: Database, limit: TimeLimit, *, after_seconds: float) -> int:
    """Delete records of that age; returns how many."""
    old = (
        select(SummaryUsageRow.id)
        .where(SummaryUsageRow.began_at < ago(after_seconds))
        .order_by(SummaryUsageRow.began_at)
        .limit(EXPIRE_AT_A_TIME)
        .with_for_update(skip_locked=True)
    )
    statement = delete(SummaryUsageRow).where(SummaryUsageRow.id.in_(old.scalar_subquery()))

    def some() -> int:
        with database.transaction() as session:
            return len(session.scalars(statement.returning(SummaryUsageRow.id)).all())

    return limit.until_done(some)
