"""A worker can be asked to take nothing new."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("drain", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "drain")
