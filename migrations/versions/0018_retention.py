"""What is due to be deleted is found by an index; outages are counted apart from failures."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "jobs_row_due",
        "jobs",
        ["finished_at", "id"],
        unique=False,
        postgresql_where=sa.text("result_deleted_at IS NOT NULL AND audio_key IS NULL"),
    )
    op.create_index("batches_age", "batches", ["created_at"], unique=False)
    op.create_index("usage_age", "usage", ["ended_at"], unique=False)
    op.add_column("jobs", sa.Column("outages", sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    op.drop_column("jobs", "outages")
    op.drop_index("usage_age", table_name="usage")
    op.drop_index("batches_age", table_name="batches")
    op.drop_index("jobs_row_due", table_name="jobs")
