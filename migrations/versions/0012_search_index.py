"""The index of the search, built while sentences are written: minutes a million, in which nobody waits for it.

Without a transaction, so the steps can be done again: one that was broken off leaves an index that is not valid.
Databases that came by an earlier form of 0010 have the index already.
"""

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BROKEN = "SELECT indexrelid::regclass FROM pg_index WHERE indexrelid = to_regclass('sentences_search') AND NOT indisvalid"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # It waits for transactions that began before, and holds nobody up meanwhile.
        op.execute("SET lock_timeout = 0")
        if op.get_bind().scalar(text(BROKEN)):
            op.execute("DROP INDEX CONCURRENTLY sentences_search")
        op.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS sentences_search ON sentences "
            "USING gin (search_grams(tenant, text, 1))"
        )
        op.execute("SET lock_timeout = '5s'")


def downgrade() -> None:
    op.drop_index("sentences_search", table_name="sentences")
