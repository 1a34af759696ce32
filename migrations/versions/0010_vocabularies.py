"""Vocabularies of tenants, and the words that apply to each job that was submitted with one."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE vocabularies (
            id UUID NOT NULL PRIMARY KEY,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            tenant TEXT NOT NULL,
            name TEXT NOT NULL,
            revision INTEGER NOT NULL DEFAULT 1,
            hotwords TEXT[] NOT NULL,
            masked_words TEXT[] NOT NULL
        )
    """)
    op.execute("CREATE INDEX vocabularies_newest ON vocabularies (tenant, created_at, id)")
    op.execute("CREATE UNIQUE INDEX vocabularies_by_name ON vocabularies (tenant, name)")
    op.execute("""
        CREATE TABLE job_words (
            job_id UUID NOT NULL PRIMARY KEY,
            hotwords TEXT[] NOT NULL,
            masked_words TEXT[] NOT NULL,
            CONSTRAINT job_words_job FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE job_words")
    op.execute("DROP TABLE vocabularies")
