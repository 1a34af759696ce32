"""Which request, and which trace, asked for a job and for a delivery.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a default they need no rewrite of the table, and code that does not know them goes on.
    op.add_column("jobs", sa.Column("request_id", sa.Text()))
    op.add_column("jobs", sa.Column("traceparent", sa.Text()))
    op.add_column("deliveries", sa.Column("traceparent", sa.Text()))


def downgrade() -> None:
    op.drop_column("deliveries", "traceparent")
    op.drop_column("jobs", "traceparent")
    op.drop_column("jobs", "request_id")
