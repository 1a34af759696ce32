"""Known voices: which tenants keep them, voice prints of speakers, and the speakers that were recognised."""

from alembic import op

from migrations import indexes

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # An interrupted build of the index keeps the columns.
    op.execute("ALTER TABLE speakers ADD COLUMN IF NOT EXISTS voice_id UUID")
    op.execute("ALTER TABLE speakers ADD COLUMN IF NOT EXISTS similarity FLOAT")
    indexes.build("speakers_of_voice", "speakers (voice_id) WHERE voice_id IS NOT NULL")
    op.execute("ALTER TABLE tenants ADD COLUMN voices BOOLEAN NOT NULL DEFAULT false")
    op.execute("""
        CREATE TABLE voices (
            id UUID NOT NULL PRIMARY KEY,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            tenant TEXT NOT NULL,
            name TEXT NOT NULL,
            consent TEXT NOT NULL,
            made_by UUID
        )
    """)
    op.execute("CREATE INDEX voices_newest ON voices (tenant, created_at, id)")
    op.execute("CREATE UNIQUE INDEX voices_by_name ON voices (tenant, name)")
    op.execute("""
        CREATE TABLE voice_samples (
            voice_id UUID NOT NULL,
            job_id UUID NOT NULL,
            speaker SMALLINT NOT NULL,
            model TEXT NOT NULL,
            embedding BYTEA NOT NULL,
            speech_ms BIGINT NOT NULL,
            enrolled_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            enrolled_by UUID,
            PRIMARY KEY (voice_id, job_id, speaker),
            CONSTRAINT voice_samples_voice FOREIGN KEY (voice_id) REFERENCES voices (id) ON DELETE CASCADE
        )
    """)
    op.execute("""
        CREATE TABLE voice_prints (
            job_id UUID NOT NULL,
            run INTEGER NOT NULL,
            number SMALLINT NOT NULL,
            tenant TEXT NOT NULL,
            model TEXT NOT NULL,
            embedding BYTEA NOT NULL,
            speech_ms BIGINT NOT NULL,
            PRIMARY KEY (job_id, run, number),
            CONSTRAINT voice_prints_speaker FOREIGN KEY (job_id, run, number)
                REFERENCES speakers (job_id, run, number) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE INDEX voice_prints_of_tenant ON voice_prints (tenant)")
    # The index makes the check short: the column holds nothing yet.
    op.execute("""
        ALTER TABLE speakers ADD CONSTRAINT speakers_voice FOREIGN KEY (voice_id)
            REFERENCES voices (id) ON DELETE SET NULL
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE speakers DROP COLUMN similarity, DROP COLUMN voice_id")
    op.execute("DROP TABLE voice_prints")
    op.execute("DROP TABLE voice_samples")
    op.execute("DROP TABLE voices")
    op.execute("ALTER TABLE tenants DROP COLUMN voices")
