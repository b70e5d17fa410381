"""Receipts of erasures."""

import sqlalchemy as sa
from alembic import op

from db.columns import Json, Moment

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; nobody was erased so far."""
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("requested_at", Moment, nullable=False),
        sa.Column("finished_at", Moment),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("requested_by", "kind", "subject_hash")),
        sa.Column("counts", Json, nullable=False),
        sa.Column("findings", Json, nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("erasures")
