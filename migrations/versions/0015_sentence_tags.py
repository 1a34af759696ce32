"""What models hear besides words: language, emotion and sounds of a sentence."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sentences ADD COLUMN tags JSONB")
    op.execute("ALTER TABLE machine_sentences ADD COLUMN tags JSONB")


def downgrade() -> None:
    op.execute("ALTER TABLE machine_sentences DROP COLUMN tags")
    op.execute("ALTER TABLE sentences DROP COLUMN tags")
