"""Idempotency keys, batches, and jobs that take an earlier transcript of the same audio."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("refused", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("batches_newest", "batches", ["tenant", "created_at", "id"], unique=False)
    op.add_column("jobs", sa.Column("dedupe", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("jobs", sa.Column("deduplicated_from", sa.Uuid(), nullable=True))
    op.add_column("jobs", sa.Column("batch_id", sa.Uuid(), nullable=True))
    op.add_column("jobs", sa.Column("batch_number", sa.SmallInteger(), nullable=True))
    op.create_foreign_key("jobs_batch", "jobs", "batches", ["batch_id"], ["id"])
    op.create_index(
        "jobs_of_batch", "jobs", ["batch_id", "status"], postgresql_where=sa.text("batch_id IS NOT NULL")
    )
    op.create_index(
        "jobs_by_audio",
        "jobs",
        ["tenant", "audio_sha256", "created_at"],
        postgresql_where=sa.text("audio_sha256 IS NOT NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="idempotency_keys_job", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="idempotency_keys_batch", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant", "key_id", "key"),
    )
    op.create_index("idempotency_keys_age", "idempotency_keys", ["created_at"], unique=False)
    for name in ("job", "batch"):
        op.create_index(
            f"idempotency_keys_of_{name}",
            "idempotency_keys",
            [f"{name}_id"],
            postgresql_where=sa.text(f"{name}_id IS NOT NULL"),
        )


def downgrade() -> None:
    op.drop_table("idempotency_keys")
    for index in ("jobs_by_audio", "jobs_of_batch"):
        op.drop_index(index, table_name="jobs")
    op.drop_constraint("jobs_batch", "jobs", type_="foreignkey")
    for column in ("batch_number", "batch_id", "deduplicated_from", "dedupe"):
        op.drop_column("jobs", column)
    op.drop_table("batches")
