"""The tags of jobs from before the trigger, in steps that are each committed by themselves, while jobs are submitted.

Done again, it adds what is missing.
"""

from alembic import op
from sqlalchemy import text

revision = "0014"
down_revision = "0013"
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
        behind = "00000000-0000-0000-0000-000000000000"
        while behind is not None:
            step = text(STEP).bindparams(behind=behind, number=JOBS_AT_A_TIME)
            behind = op.get_bind().scalar(step)


def downgrade() -> None:
    op.execute("TRUNCATE job_tags")
