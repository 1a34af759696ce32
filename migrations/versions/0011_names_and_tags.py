"""Names that people give to jobs, tags that change, and the orders and the search of the list of jobs."""

from alembic import op

from migrations import indexes

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS name TEXT")  # an interrupted build of the indexes keeps it
    indexes.build("jobs_longest", "jobs (tenant, coalesce(audio_ms, 0), id)")
    indexes.build(
        "jobs_by_name", "jobs (tenant, left(search_folded(coalesce(name, source_name, '') COLLATE \"C\"), 100), id)"
    )
    indexes.build(
        "jobs_name_search", "jobs USING gin (search_grams(tenant, coalesce(name, source_name, ''), 1))"
    )
    op.execute("""
        CREATE FUNCTION jobs_change_tags() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            DELETE FROM job_tags WHERE job_id = NEW.id AND tag <> ALL (NEW.tags);
            INSERT INTO job_tags (job_id, tag, tenant, created_at)
            SELECT DISTINCT NEW.id, tag, NEW.tenant, NEW.created_at FROM unnest(NEW.tags) AS tag
            ON CONFLICT DO NOTHING;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER jobs_change_tags AFTER UPDATE OF tags ON jobs FOR EACH ROW
        WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION jobs_change_tags()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER jobs_change_tags ON jobs")
    op.execute("DROP FUNCTION jobs_change_tags")
    op.execute("DROP INDEX jobs_longest")
    op.execute("ALTER TABLE jobs DROP COLUMN name")  # with the indexes that read it
