"""What people call a job, and the tags by which they find it: they may change in any state."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from types import EllipsisType

from sqlalchemy import select

from common import ids
from common.db import Database
from common.errors import InvalidRequest
from common.jobs.job import Job, job_of
from common.models import JobRow

MOST_TAGS = 20


def relabel(
    database: Database,
    job_id: uuid.UUID,
    *,
    tenant: str,
    name: str | EllipsisType | None = ...,
    tags: Sequence[str] | None = None,
    add_tags: Sequence[str] = (),
    remove_tags: Sequence[str] = (),
) -> Job:
    """Rename a job (None: as its audio is called) and change its tags; usage keeps the tags of its runs.

    `tags` replaces all of them; `remove_tags` and `add_tags` change what another caller may be changing too. Raises
    NotFound; InvalidRequest if there would be more than MOST_TAGS.
    """
    with database.transaction() as session:
        row = session.scalar(select(JobRow).where(JobRow.id == job_id, JobRow.tenant == tenant).with_for_update())
        if row is None:
            raise ids.missing(ids.JOB, job_id)
        before = row.tags if tags is None else tags
        wanted = list(dict.fromkeys([*(tag for tag in before if tag not in remove_tags), *add_tags]))
        if len(wanted) > MOST_TAGS:
            raise InvalidRequest(f"a job has at most {MOST_TAGS} tags; this would be {len(wanted)}")
        if wanted != row.tags:
            row.tags = wanted
        if not isinstance(name, EllipsisType):
            row.name = name
        session.flush()
        return job_of(row)
