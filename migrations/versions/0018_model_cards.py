"""What the model of a worker can do, as the worker says.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null: a worker that is older than this. Code that does not know the column goes on.
    op.add_column("workers", sa.Column("card", JSONB()))


def downgrade() -> None:
    op.drop_column("workers", "card")
