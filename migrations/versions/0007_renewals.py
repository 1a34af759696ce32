"""Renewing a lease changes no indexed column, and finds the jobs of its worker by index.

With `lease_expires_at` in an index, each renewal of a job wrote to every index of `jobs`, once a second.
"""

from alembic import op

from migrations import indexes

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Room for new versions of a row on its own page, which an update without changes to indexes needs.
FILL_PERCENT = 80


def upgrade() -> None:
    indexes.build("jobs_processing", "jobs (lease_worker) WHERE status = 'processing'")
    op.execute("DROP INDEX jobs_leases")
    op.execute(f"ALTER TABLE jobs SET (fillfactor = {FILL_PERCENT})")


def downgrade() -> None:
    indexes.build("jobs_leases", "jobs (lease_expires_at) WHERE status = 'processing'")
    op.execute("ALTER TABLE jobs RESET (fillfactor)")
    op.execute("DROP INDEX jobs_processing")
