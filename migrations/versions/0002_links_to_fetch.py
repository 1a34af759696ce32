"""Links wait in a line of their own until their audio is in storage."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS = "model, priority DESC, tenant, coalesce(key_id, '00000000-0000-0000-0000-000000000000'::uuid)"


def upgrade() -> None:
    op.execute("DROP INDEX jobs_waiting")
    op.execute(
        f"CREATE INDEX jobs_waiting ON jobs ({COLUMNS}, created_at, id) "
        "WHERE status = 'queued' AND audio_key IS NOT NULL"
    )
    op.execute(
        f"CREATE INDEX jobs_to_fetch ON jobs ({COLUMNS}, not_before, id) WHERE status = 'queued' AND audio_key IS NULL"
    )


def downgrade() -> None:
    op.execute("DROP INDEX jobs_to_fetch")
    op.execute("DROP INDEX jobs_waiting")
    op.execute(f"CREATE INDEX jobs_waiting ON jobs ({COLUMNS}, created_at, id) WHERE status = 'queued'")
