"""Tenants, API keys, and usage. Code that runs already writes rows of the default tenant and no usage."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.execute("INSERT INTO tenants (name) VALUES ('default')")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("max_running", sa.Integer(), nullable=True),
        sa.Column("max_queued", sa.Integer(), nullable=True),
        sa.Column("audio_minutes_per_day", sa.Integer(), nullable=True),
        sa.Column("audio_minutes_per_month", sa.Integer(), nullable=True),
        sa.Column("max_upload_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="api_keys_tenant"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("api_keys_by_hash", "api_keys", ["hash"], unique=True)
    op.create_index("api_keys_of_tenant", "api_keys", ["tenant", "created_at", "id"], unique=False)
    op.create_table(
        "usage",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.Column("processing_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "run"),
    )
    op.create_index("usage_of_tenant", "usage", ["tenant", "ended_at"], unique=False)
    default = sa.text("'default'")
    op.add_column("jobs", sa.Column("tenant", sa.Text(), server_default=default, nullable=False))
    op.add_column("jobs", sa.Column("key_id", sa.Uuid(), nullable=True))
    op.add_column("webhook_endpoints", sa.Column("tenant", sa.Text(), server_default=default, nullable=False))
    op.drop_index("jobs_newest", table_name="jobs")
    op.create_index("jobs_newest", "jobs", ["tenant", "created_at", "id"], unique=False)
    op.drop_index("jobs_by_status", table_name="jobs")
    op.create_index("jobs_by_status", "jobs", ["tenant", "status", "created_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("jobs_by_status", table_name="jobs")
    op.create_index("jobs_by_status", "jobs", ["status", "created_at", "id"], unique=False)
    op.drop_index("jobs_newest", table_name="jobs")
    op.create_index("jobs_newest", "jobs", ["created_at", "id"], unique=False)
    op.drop_column("webhook_endpoints", "tenant")
    op.drop_column("jobs", "key_id")
    op.drop_column("jobs", "tenant")
    for table in ("usage", "api_keys", "tenants"):
        op.drop_table(table)
