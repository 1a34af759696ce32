"""Links with which people without a key read one transcript, and whether a tenant may make them."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tenants ADD COLUMN sharing BOOLEAN NOT NULL DEFAULT true")
    op.execute("""
        CREATE TABLE shares (
            id UUID NOT NULL PRIMARY KEY,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            job_id UUID NOT NULL,
            made_by UUID,
            hash BYTEA NOT NULL,
            audio BOOLEAN NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            last_used_at TIMESTAMP WITH TIME ZONE,
            views BIGINT NOT NULL DEFAULT 0,
            CONSTRAINT shares_job FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE
        )
    """)
    op.execute("CREATE UNIQUE INDEX shares_by_hash ON shares (hash)")
    op.execute("CREATE INDEX shares_of_job ON shares (job_id, created_at, id)")
    op.execute("CREATE INDEX shares_over ON shares (expires_at)")


def downgrade() -> None:
    op.execute("DROP TABLE shares")
    op.execute("ALTER TABLE tenants DROP COLUMN sharing")
