"""The highest priority that a key may ask for."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE api_keys ADD COLUMN max_priority SMALLINT NOT NULL DEFAULT 5")


def downgrade() -> None:
    op.execute("ALTER TABLE api_keys DROP COLUMN max_priority")
