"""Fair dispatch, suspects that run alone, rates of models. Code that runs already neither reserves nor runs alone."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

QUEUED = sa.text("status = 'queued'")


def upgrade() -> None:
    zero, false = sa.text("0"), sa.text("false")
    op.add_column("tenants", sa.Column("served_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("losses_alone", sa.Integer(), server_default=zero, nullable=False))
    op.add_column("jobs", sa.Column("alone", sa.Boolean(), server_default=false, nullable=False))
    op.add_column("attempts", sa.Column("alone", sa.Boolean(), server_default=false, nullable=False))
    op.add_column("workers", sa.Column("reserved_for", sa.Uuid(), nullable=True))
    op.drop_index("jobs_waiting", table_name="jobs")
    op.create_index(
        "jobs_waiting",
        "jobs",
        [
            "model",
            sa.text("priority DESC"),
            "tenant",
            sa.text("coalesce(key_id, '00000000-0000-0000-0000-000000000000'::uuid)"),
            "created_at",
            "id",
        ],
        postgresql_where=QUEUED,
    )
    op.create_index(
        "jobs_announced",
        "jobs",
        ["dispatched_at"],
        postgresql_where=sa.text("status = 'queued' AND dispatched_at IS NOT NULL"),
    )
    op.create_index(
        "jobs_suspect",
        "jobs",
        ["model", sa.text("priority DESC"), "created_at"],
        postgresql_where=sa.text("status = 'queued' AND losses >= 2"),
    )
    op.create_index("usage_of_model", "usage", ["model", "ended_at"])


def downgrade() -> None:
    op.drop_index("usage_of_model", table_name="usage")
    for index in ("jobs_suspect", "jobs_announced", "jobs_waiting"):
        op.drop_index(index, table_name="jobs")
    op.create_index(
        "jobs_waiting",
        "jobs",
        ["model", sa.text("priority DESC"), "created_at", "id"],
        postgresql_where=QUEUED,
    )
    op.drop_column("workers", "reserved_for")
    op.drop_column("attempts", "alone")
    for column in ("alone", "losses_alone"):
        op.drop_column("jobs", column)
    op.drop_column("tenants", "served_at")
