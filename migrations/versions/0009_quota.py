"""What a key has in the queue, and has used, is found without reading other keys' rows."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "jobs_open_of_key",
        "jobs",
        ["key_id", "status"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'processing')"),
    )
    op.create_index("usage_of_key", "usage", ["key_id", "ended_at"], unique=False)


def downgrade() -> None:
    op.drop_index("usage_of_key", table_name="usage")
    op.drop_index("jobs_open_of_key", table_name="jobs")
