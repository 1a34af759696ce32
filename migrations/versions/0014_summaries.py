"""Summaries of transcripts, their sections, templates of tenants, and the tokens that summaries took."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE summaries (
            job_id UUID NOT NULL PRIMARY KEY,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            tenant TEXT NOT NULL,
            key_id UUID,
            kind TEXT NOT NULL,
            template_id UUID,
            template_name TEXT,
            language TEXT,
            prompt TEXT,
            status TEXT NOT NULL DEFAULT 'queued',
            due_at TIMESTAMP WITH TIME ZONE,
            started_at TIMESTAMP WITH TIME ZONE,
            finished_at TIMESTAMP WITH TIME ZONE,
            failures INTEGER NOT NULL DEFAULT 0,
            progress FLOAT NOT NULL DEFAULT 0,
            token UUID,
            lease_expires_at TIMESTAMP WITH TIME ZONE,
            content TEXT,
            truncated BOOLEAN NOT NULL DEFAULT false,
            stale BOOLEAN NOT NULL DEFAULT false,
            model TEXT,
            prompt_tokens BIGINT NOT NULL DEFAULT 0,
            completion_tokens BIGINT NOT NULL DEFAULT 0,
            error_code TEXT,
            error_message TEXT,
            error_retryable BOOLEAN,
            CONSTRAINT summaries_job FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE,
            CONSTRAINT summaries_status_known
                CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'canceled')),
            CONSTRAINT summaries_lease_while_processing CHECK ((status = 'processing') = (token IS NOT NULL))
        )
    """)
    op.execute("""
        CREATE INDEX summaries_due ON summaries (tenant, due_at) WHERE status = 'queued' AND due_at IS NOT NULL
    """)
    op.execute("CREATE INDEX summaries_processing ON summaries (tenant) WHERE status = 'processing'")
    op.execute("""
        CREATE TABLE summary_sections (
            job_id UUID NOT NULL,
            level SMALLINT NOT NULL,
            number INTEGER NOT NULL,
            last INTEGER NOT NULL,
            text TEXT NOT NULL,
            PRIMARY KEY (job_id, level, number),
            CONSTRAINT summary_sections_summary FOREIGN KEY (job_id) REFERENCES summaries (job_id) ON DELETE CASCADE
        )
    """)
    op.execute("""
        CREATE TABLE summary_templates (
            id UUID NOT NULL PRIMARY KEY,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            tenant TEXT NOT NULL,
            name TEXT NOT NULL,
            revision INTEGER NOT NULL DEFAULT 1,
            prompt TEXT NOT NULL
        )
    """)
    op.execute("CREATE INDEX summary_templates_newest ON summary_templates (tenant, created_at, id)")
    op.execute("CREATE UNIQUE INDEX summary_templates_by_name ON summary_templates (tenant, name)")
    op.execute("""
        CREATE TABLE summary_usage (
            id UUID NOT NULL PRIMARY KEY,
            began_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            tenant TEXT NOT NULL,
            key_id UUID,
            model TEXT NOT NULL,
            tags TEXT[] NOT NULL,
            prompt_tokens BIGINT NOT NULL,
            completion_tokens BIGINT NOT NULL
        )
    """)
    op.execute("CREATE INDEX summary_usage_age ON summary_usage (began_at)")
    op.execute("CREATE INDEX summary_usage_of_tenant ON summary_usage (tenant, began_at)")


def downgrade() -> None:
    op.execute("DROP TABLE summary_usage")
    op.execute("DROP TABLE summary_templates")
    op.execute("DROP TABLE summary_sections")
    op.execute("DROP TABLE summaries")
