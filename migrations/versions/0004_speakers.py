"""Options of jobs that are not columns of their own; speakers: embeddings of parts, names, and whose each sentence is."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN options JSONB NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE sentences ADD COLUMN speaker SMALLINT")
    op.execute("""
        CREATE TABLE speaker_windows (
            job_id UUID NOT NULL,
            run INTEGER NOT NULL,
            part INTEGER NOT NULL,
            windows BYTEA NOT NULL,
            PRIMARY KEY (job_id, run, part),
            CONSTRAINT speaker_windows_part FOREIGN KEY (job_id, run, part)
                REFERENCES parts (job_id, run, number) ON DELETE CASCADE
        )
    """)
    op.execute("""
        CREATE TABLE speakers (
            job_id UUID NOT NULL,
            run INTEGER NOT NULL,
            number SMALLINT NOT NULL,
            tenant TEXT NOT NULL,
            name TEXT,
            speech_ms BIGINT NOT NULL,
            PRIMARY KEY (job_id, run, number),
            CONSTRAINT speakers_job FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE speakers")
    op.execute("DROP TABLE speaker_windows")
    op.execute("ALTER TABLE sentences DROP COLUMN speaker")
    op.execute("ALTER TABLE jobs DROP COLUMN options")
