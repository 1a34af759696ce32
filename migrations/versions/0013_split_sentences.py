"""Sentences that people split and merge: what the machine made of them, and what changed them."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE machine_sentences (
            job_id UUID NOT NULL,
            run INTEGER NOT NULL,
            number INTEGER NOT NULL,
            channel SMALLINT NOT NULL,
            start_ms BIGINT NOT NULL,
            end_ms BIGINT NOT NULL,
            confidence FLOAT NOT NULL,
            text TEXT NOT NULL,
            spoken TEXT,
            words JSONB NOT NULL,
            speaker SMALLINT,
            PRIMARY KEY (job_id, run, number),
            CONSTRAINT machine_sentences_job FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE
        )
    """)
    op.execute("ALTER TABLE edits ADD COLUMN change JSONB")
    op.execute("ALTER TABLE earlier_edits ADD COLUMN change JSONB")


def downgrade() -> None:
    op.execute("ALTER TABLE earlier_edits DROP COLUMN change")
    op.execute("ALTER TABLE edits DROP COLUMN change")
    op.execute("DROP TABLE machine_sentences")
