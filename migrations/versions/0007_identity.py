"""The secret of a key before its rotation; whose a delivery is. Code that runs already writes neither."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("previous_hash", sa.LargeBinary(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index("api_keys_by_previous_hash", "api_keys", ["previous_hash"], unique=True)
    op.add_column("deliveries", sa.Column("tenant", sa.Text(), server_default=sa.text("'default'"), nullable=False))
    op.create_index("deliveries_of_tenant", "deliveries", ["tenant", "created_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("deliveries_of_tenant", table_name="deliveries")
    op.drop_column("deliveries", "tenant")
    op.drop_index("api_keys_by_previous_hash", table_name="api_keys")
    op.drop_column("api_keys", "previous_until")
    op.drop_column("api_keys", "previous_hash")
