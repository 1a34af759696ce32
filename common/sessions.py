"""Browser sessions that were ended early; other sessions are not stored and exist only as cookies."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from common.db import Database
from common.models import EndedSessionRow
from common.time_limit import TimeLimit

EXPIRE_AT_A_TIME = 1000


def end(database: Database, session_id: uuid.UUID, expires_at: datetime) -> None:
    """End a session: from now on its cookie is invalid, including all copies of it."""
    with database.transaction() as session:
        statement = insert(EndedSessionRow).values(id=session_id, expires_at=expires_at)
        session.execute(statement.on_conflict_do_nothing())


def has_ended(database: Database, session_id: uuid.UUID) -> bool:
    """Return whether the session was signed out."""
    with database.transaction() as session:
        return session.scalar(select(EndedSessionRow.id).where(EndedSessionRow.id == session_id)) is not None


def expire(database: Database, limit: TimeLimit) -> int:
    """Delete records of sessions that would have expired by now; returns how many."""
    over = select(EndedSessionRow.id).where(EndedSessionRow.expires_at < func.now()).limit(EXPIRE_AT_A_TIME)
    due = over.with_for_update(skip_locked=True)
    statement = delete(EndedSessionRow).where(EndedSessionRow.id.in_(due)).returning(EndedSessionRow.id)

    def some() -> int:
        with database.transaction() as session:
            return len(session.scalars(statement).all())

    return limit.until_done(some)
