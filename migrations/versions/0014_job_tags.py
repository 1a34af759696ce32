"""Tags by their age, so that a page of a tag's jobs is read and not sorted out of all of them.

A trigger writes them, so that running code, which knows nothing of them, does so as well. The next migration adds those
of the jobs that are there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FUNCTION = """
CREATE FUNCTION jobs_note_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_tags (job_id, tag, tenant, created_at)
    SELECT NEW.id, tag, NEW.tenant, NEW.created_at FROM (SELECT DISTINCT unnest(NEW.tags) AS tag) AS told;
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER jobs_note_tags AFTER INSERT ON jobs FOR EACH ROW WHEN (cardinality(NEW.tags) > 0)
EXECUTE FUNCTION jobs_note_tags()
"""


def upgrade() -> None:
    op.create_table(
        "job_tags",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="job_tags_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "tag"),
    )
    op.create_index("job_tags_newest", "job_tags", ["tenant", "tag", "created_at", "job_id"])
    op.execute(FUNCTION)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER jobs_note_tags ON jobs")
    op.execute("DROP FUNCTION jobs_note_tags()")
    op.drop_table("job_tags")
