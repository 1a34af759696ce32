"""How the speech of a completed job was divided into segments."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN result_segmentation TEXT")


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP COLUMN result_segmentation")
