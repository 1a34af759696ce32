"""A delivery may tell of a batch."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("batch_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM deliveries WHERE event = 'batch.completed'")
    op.drop_column("deliveries", "batch_id")
