"""Indexes of ended jobs hold no others, and five that no query needs go (docs/indexes.md).

A job that waits was in the indexes of what is to be deleted, without a time: two entries to write at each submission,
and two more when the job ends. The primary key of `attempts` finds those of a job as well; nothing reads the usage of
one key. A tenant has few templates, vocabularies and voices: the indexes that keep their names unique find them all.
"""

from alembic import op

from migrations import indexes

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

REPLACED = ("jobs_audio_due", "jobs_result_due")
UNUSED = {
    "attempts_of_job": "attempts (job_id, started_at)",
    "usage_of_key": "usage (key_id, ended_at)",
    "summary_templates_newest": "summary_templates (tenant, created_at, id)",
    "vocabularies_newest": "vocabularies (tenant, created_at, id)",
    "voices_newest": "voices (tenant, created_at, id)",
}


def upgrade() -> None:
    indexes.build("jobs_ended_with_audio", "jobs (finished_at) WHERE audio_key IS NOT NULL AND finished_at IS NOT NULL")
    indexes.build(
        "jobs_ended_with_result", "jobs (finished_at) WHERE result_deleted_at IS NULL AND finished_at IS NOT NULL"
    )
    for name in (*REPLACED, *UNUSED):
        op.execute(f"DROP INDEX {name}")


def downgrade() -> None:
    indexes.build("jobs_audio_due", "jobs (finished_at) WHERE audio_key IS NOT NULL")
    indexes.build("jobs_result_due", "jobs (finished_at) WHERE result_deleted_at IS NULL")
    for name, definition in UNUSED.items():
        indexes.build(name, definition)
    for name in ("jobs_ended_with_audio", "jobs_ended_with_result"):
        op.execute(f"DROP INDEX {name}")
