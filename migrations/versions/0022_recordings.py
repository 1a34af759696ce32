"""What decoding found out about a recording, and which of its audio tracks is transcribed.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Constant defaults: no rewrite of the table, and code that does not know the columns goes on.
    op.add_column("jobs", sa.Column("audio_track", sa.Text(), server_default=sa.text("'default'"), nullable=False))
    for name in ("tracks", "warnings"):
        op.add_column("jobs", sa.Column(name, postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False))


def downgrade() -> None:
    for name in ("warnings", "tracks", "audio_track"):
        op.drop_column("jobs", name)
