"""The words of corrected texts with their times, which were computed whenever subtitles were read."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE edits ADD COLUMN words JSONB")


def downgrade() -> None:
    op.execute("ALTER TABLE edits DROP COLUMN words")
