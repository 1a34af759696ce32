"""Audio by key and day, so that a quota is checked without adding up every run of the month."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage_daily",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "day"),
    )
    op.create_index("usage_daily_age", "usage_daily", ["day"], unique=False)
    op.execute(
        "INSERT INTO usage_daily (key_id, day, audio_ms)"
        " SELECT key_id, (ended_at AT TIME ZONE 'UTC')::date, sum(audio_ms) FROM usage"
        " WHERE key_id IS NOT NULL GROUP BY 1, 2"
    )


def downgrade() -> None:
    op.drop_table("usage_daily")
