"""Earlier corrections of a sentence, and words that a person has confirmed."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE edits ADD COLUMN confirmed SMALLINT[]")
    op.execute("""
        CREATE TABLE earlier_edits (
            job_id UUID NOT NULL,
            run INTEGER NOT NULL,
            number INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            text TEXT,
            confirmed SMALLINT[],
            key_id UUID,
            edited_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (job_id, run, number, revision),
            CONSTRAINT earlier_edits_edit FOREIGN KEY (job_id, run, number)
                REFERENCES edits (job_id, run, number) ON DELETE CASCADE
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE earlier_edits")
    op.execute("ALTER TABLE edits DROP COLUMN confirmed")
