"""Sentences can be searched: by every letter, and every two that stand side by side, of the tenant they belong to.

Sentences that running code still adds without a tenant are those of the default one until their job is searched
for; code from before had no other tenants. A later migration builds the index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Full-width letters become half-width ones, upper case becomes lower case.
FOLDED = """
CREATE FUNCTION search_folded(content text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(normalize(content, NFKC) COLLATE "pg_c_utf8")
"""
# It names no function of ours: maintenance, such as VACUUM, runs it where only PostgreSQL's own are in sight.
# A number for each two letters that stand side by side and, with shortest = 1, for each single one. From high to low:
# 21 bits of the tenant's hash, 21 bits of the first letter (0 for a single one), 21 bits of the second.
GRAMS = """
CREATE FUNCTION search_grams(tenant text, content text, shortest integer) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    owner bigint := (hashtextextended(tenant COLLATE "C", 0) & 2097151) << 42;
    spoken text := regexp_replace(
        lower(normalize(content, NFKC) COLLATE "pg_c_utf8"), '[^[:alnum:]]+' COLLATE "pg_c_utf8", ' ', 'g'
    );
    grams bigint[] := '{}';
    before bigint := 0;
    code bigint;
    letter text;
BEGIN
    FOREACH letter IN ARRAY string_to_array(spoken, NULL) LOOP
        code := ascii(letter);
        IF code = 32 THEN
            before := 0;
        ELSE
            IF before <> 0 THEN grams := grams || (owner + (before << 21) + code); END IF;
            IF shortest = 1 THEN grams := grams || (owner + code); END IF;
            before := code;
        END IF;
    END LOOP;
    RETURN grams;
END $$
"""


def upgrade() -> None:
    op.add_column("sentences", sa.Column("tenant", sa.Text(), server_default=sa.text("'default'"), nullable=False))
    op.execute(
        "UPDATE sentences SET tenant = jobs.tenant FROM jobs WHERE jobs.id = job_id AND jobs.tenant <> 'default'"
    )
    op.execute(FOLDED)
    op.execute(GRAMS)


def downgrade() -> None:
    op.execute("DROP FUNCTION search_grams(text, text, integer)")
    op.execute("DROP FUNCTION search_folded(text)")
    op.drop_column("sentences", "tenant")
