"""Links wait in a line of their own until their audio is in storage."""

from alembic import op

from migrations import indexes

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS = "model, priority DESC, tenant, coalesce(key_id, '00000000-0000-0000-0000-000000000000'::uuid)"


def upgrade() -> None:
    indexes.build("jobs_to_fetch", f"jobs ({COLUMNS}, not_before, id) WHERE status = 'queued' AND audio_key IS NULL")
    replace_waiting("status = 'queued' AND audio_key IS NOT NULL")


def downgrade() -> None:
    replace_waiting("status = 'queued'")
    op.execute("DROP INDEX jobs_to_fetch")


def replace_waiting(condition: str) -> None:
    # Dispatch reads this index, so there is always one.
    indexes.build("jobs_waiting_new", f"jobs ({COLUMNS}, created_at, id) WHERE {condition}")
    op.execute("DROP INDEX jobs_waiting")
    op.execute("ALTER INDEX jobs_waiting_new RENAME TO jobs_waiting")
