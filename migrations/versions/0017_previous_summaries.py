"""The completed summary of a transcript stays until the one that replaces it is completed."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE summaries ADD COLUMN previous JSONB")


def downgrade() -> None:
    op.execute("ALTER TABLE summaries DROP COLUMN previous")
