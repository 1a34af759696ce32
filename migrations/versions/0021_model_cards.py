"""What the model of a worker can do, as the worker says.

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
    # Null: a worker that is older than this. Code that does not know the column goes on.
    op.add_column("workers", sa.Column("card", JSONB()))


def downgrade() -> None:
    op.drop_column("workers", "card")
