"""Limits of tenants, who made a key, and how many channels of audio a run transcribed.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

COUNTS = (
    "requests_per_minute",
    "max_running",
    "max_queued",
    "audio_minutes_per_day",
    "audio_minutes_per_month",
)


def upgrade() -> None:
    for name in COUNTS:
        op.add_column("tenants", sa.Column(name, sa.Integer()))
    op.add_column("tenants", sa.Column("max_upload_bytes", sa.BigInteger()))
    op.add_column("api_keys", sa.Column("made_by", sa.Uuid()))
    op.add_column("usage_daily", sa.Column("tenant", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.execute(
        "UPDATE usage_daily SET tenant = found.tenant FROM (SELECT DISTINCT key_id, tenant FROM usage) AS found"
        " WHERE found.key_id = usage_daily.key_id"
    )
    op.create_index("usage_daily_of_tenant", "usage_daily", ["tenant", "day"])
    op.create_index("uploads_open", "uploads", ["tenant"], postgresql_where=sa.text("used_at IS NULL"))
    op.create_index(
        "api_keys_made_by", "api_keys", ["made_by"], postgresql_where=sa.text("made_by IS NOT NULL")
    )
    # A constant default needs no rewrite of the table.
    op.add_column("usage", sa.Column("channels", sa.Integer(), server_default=sa.text("1"), nullable=False))


def downgrade() -> None:
    op.drop_index("uploads_open", "uploads")
    op.drop_index("usage_daily_of_tenant", "usage_daily")
    op.drop_column("usage_daily", "tenant")
    op.drop_column("usage", "channels")
    op.drop_column("api_keys", "made_by")
    for name in (*COUNTS, "max_upload_bytes"):
        op.drop_column("tenants", name)
