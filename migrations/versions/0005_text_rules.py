"""The recognised text of sentences whose text was changed by the options of their job."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sentences ADD COLUMN spoken TEXT")


def downgrade() -> None:
    op.execute("ALTER TABLE sentences DROP COLUMN spoken")
