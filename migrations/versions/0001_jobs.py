"""Jobs, their attempts, parts and sentences, and the workers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("5"), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("source_name", sa.Text(), nullable=True),
        sa.Column("audio_key", sa.Text(), nullable=True),
        sa.Column("audio_bytes", sa.BigInteger(), nullable=True),
        sa.Column("audio_sha256", sa.Text(), nullable=True),
        sa.Column("audio_deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("declared_ms", sa.BigInteger(), nullable=True),
        sa.Column("processed_ms", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("audio_ms", sa.BigInteger(), nullable=True),
        sa.Column("run", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("losses", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_worker", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_retryable", sa.Boolean(), nullable=True),
        sa.Column("result_model", sa.Text(), nullable=True),
        sa.Column("result_revision", sa.Text(), nullable=True),
        sa.Column("result_precision", sa.Text(), nullable=True),
        sa.Column("result_channels", sa.Integer(), nullable=True),
        sa.Column("no_speech", sa.Boolean(), nullable=True),
        sa.Column("processing_ms", sa.BigInteger(), nullable=True),
        sa.Column("result_deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'processing') = (lease_token IS NOT NULL)", name="jobs_lease_while_processing"
        ),
        sa.CheckConstraint(
            "status IN ('queued', 'processing', 'completed', 'failed', 'canceled')", name="jobs_status_known"
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 9", name="jobs_priority_range"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "jobs_audio_due",
        "jobs",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("audio_key IS NOT NULL"),
    )
    op.create_index("jobs_by_status", "jobs", ["status", "created_at", "id"], unique=False)
    op.create_index("jobs_by_tag", "jobs", ["tags"], unique=False, postgresql_using="gin")
    op.create_index(
        "jobs_leases",
        "jobs",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.create_index("jobs_newest", "jobs", ["created_at", "id"], unique=False)
    op.create_index(
        "jobs_result_due",
        "jobs",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("result_deleted_at IS NULL"),
    )
    op.create_index(
        "jobs_waiting",
        "jobs",
        ["model", sa.literal_column("priority DESC"), "created_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("precision", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "heartbeat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("draining", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "attempts",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("resumed_ms", sa.BigInteger(), nullable=True),
        sa.Column("stage_ms", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="attempts_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "token"),
    )
    op.create_index("attempts_of_job", "attempts", ["job_id", "started_at"], unique=False)
    op.create_table(
        "parts",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("sentences", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="parts_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "run", "number"),
    )
    op.create_table(
        "sentences",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("channel", sa.SmallInteger(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("words", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="sentences_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "run", "number"),
    )
    # Wakes who waits for a job (api/changes.py). Not at INSERT: nobody can wait for a job before it is there.
    op.execute("""
        CREATE FUNCTION notify_job() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('paraqueue_jobs', OLD.id::text);
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER jobs_notify AFTER UPDATE ON jobs FOR EACH ROW
        WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.stage IS DISTINCT FROM NEW.stage
              OR OLD.processed_ms IS DISTINCT FROM NEW.processed_ms OR OLD.run IS DISTINCT FROM NEW.run
              OR OLD.cancel_requested IS DISTINCT FROM NEW.cancel_requested)
        EXECUTE FUNCTION notify_job()
    """)
    op.execute("""
        CREATE TRIGGER jobs_notify_deleted AFTER DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION notify_job()
    """)


def downgrade() -> None:
    op.drop_table("sentences")
    op.drop_table("parts")
    op.drop_index("attempts_of_job", table_name="attempts")
    op.drop_table("attempts")
    op.drop_table("workers")
    op.drop_index("jobs_waiting", table_name="jobs", postgresql_where=sa.text("status = 'queued'"))
    op.drop_index("jobs_result_due", table_name="jobs", postgresql_where=sa.text("result_deleted_at IS NULL"))
    op.drop_index("jobs_newest", table_name="jobs")
    op.drop_index("jobs_leases", table_name="jobs", postgresql_where=sa.text("status = 'processing'"))
    op.drop_index("jobs_by_tag", table_name="jobs", postgresql_using="gin")
    op.drop_index("jobs_by_status", table_name="jobs")
    op.drop_index("jobs_audio_due", table_name="jobs", postgresql_where=sa.text("audio_key IS NOT NULL"))
    op.drop_table("jobs")
    op.execute("DROP FUNCTION notify_job()")
