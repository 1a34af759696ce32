"""The tags of jobs from before the trigger, in steps that are each committed by themselves, while jobs are submitted.

Done again, it adds what is missing. The index that the lists of tags were read by is dropped: it knew no tenants, and
sorted all jobs of a tag. Code from before that still runs finds what it asks for without it, only more slowly.
"""

from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

JOBS_AT_A_TIME = 20_000
# The lock keeps jobs from being deleted under it, for so long as one step takes.
STEP = """
WITH step AS (
    SELECT id, tags, tenant, created_at FROM jobs WHERE id > CAST(:behind AS uuid) ORDER BY id LIMIT :number FOR KEY SHARE
), noted AS (
    INSERT INTO job_tags (job_id, tag, tenant, created_at)
    SELECT DISTINCT id, unnest(tags), tenant, created_at FROM step ON CONFLICT DO NOTHING
)
SELECT id FROM step ORDER BY id DESC LIMIT 1
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        behind: Any = "00000000-0000-0000-0000-000000000000"
        while behind is not None:
            step = text(STEP).bindparams(behind=behind, number=JOBS_AT_A_TIME)
            behind = op.get_bind().scalar(step)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS jobs_by_tag")


def downgrade() -> None:
    op.create_index("jobs_by_tag", "jobs", ["tags"], postgresql_using="gin")
    op.execute("TRUNCATE job_tags")
