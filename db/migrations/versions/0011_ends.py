"""Whether the end of a finding was told."""

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what is over already is no news."""
    op.add_column("findings", sa.Column("end_alerted_at", Moment))
    op.execute("UPDATE findings SET end_alerted_at = seen_at WHERE state = 'closed'")


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("findings", "end_alerted_at")
