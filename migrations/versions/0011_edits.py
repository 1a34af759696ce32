"""What people correct, and how loud recordings are. Code that runs already knows nothing of either."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "edits",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("edited_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        # Every path that deletes sentences takes their edits along.
        sa.ForeignKeyConstraint(
            ["job_id", "run", "number"],
            ["sentences.job_id", "sentences.run", "sentences.number"],
            name="edits_sentence",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "run", "number"),
    )
    op.create_index("edits_search", "edits", [sa.text("search_grams(tenant, text, 1)")], postgresql_using="gin")
    op.create_table(
        "peaks",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("token", sa.Uuid(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="peaks_job", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index(
        "peaks_wanted", "peaks", ["requested_at"], unique=False, postgresql_where=sa.text("status = 'wanted'")
    )


def downgrade() -> None:
    op.drop_table("peaks")
    op.drop_table("edits")
