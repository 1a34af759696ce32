"""Summaries of transcripts, their sections, templates of tenants, and the tokens that summaries took."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SQL = Path(__file__).resolve().parent.parent / "sql" / "summaries.sql"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SQL.read_text("utf-8"))


def downgrade() -> None:
    op.execute("DROP TABLE summary_usage")
    op.execute("DROP TABLE summary_templates")
    op.execute("DROP TABLE summary_sections")
    op.execute("DROP TABLE summaries")
