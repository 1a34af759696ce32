"""The whole schema of the first release, in `migrations/sql`: functions, tables by area, triggers."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parent.parent / "sql"
# As the files of common/models, in the order in which tables name one another.
AREAS = ("tenants", "jobs", "transcripts", "uploads", "renditions", "workers", "webhooks")


def upgrade() -> None:
    for name in ("functions", *AREAS, "triggers"):
        # Not op.execute, which takes a colon in SQL for the beginning of a parameter.
        op.get_bind().exec_driver_sql((SQL / f"{name}.sql").read_text("utf-8"))
    op.execute("INSERT INTO tenants (name) VALUES ('default')")


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first release; drop the database instead")
