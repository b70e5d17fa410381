"""The watch over exchange and queues: what it found last."""

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "watches",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("checked_at", Moment, nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("probe_id", sa.Uuid),
        sa.Column("sent_at", Moment),
        sa.Column("seen_at", Moment),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("watches")
