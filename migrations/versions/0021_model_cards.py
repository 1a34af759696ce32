"""The model capabilities that a worker reports.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for workers older than this version; code that does not know the column keeps working.
    op.add_column("workers", sa.Column("card", JSONB()))


def downgrade() -> None:
    op.drop_column("workers", "card")
