"""Drifts of the sources, and how far each source has been looked at for them."""

import sqlalchemy as sa
from alembic import op

from db.columns import Json, Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; the next look takes what is stored already."""
    op.create_table(
        "drift_states",
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("state", Json, nullable=False),
        sa.Column("looked_at", Moment, nullable=False),
    )
    op.create_table(
        "drift_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("start_offset", sa.BigInteger, nullable=False),
        sa.Column("end_offset", sa.BigInteger, nullable=False),
        sa.Column("since", Moment),
        sa.Column("noticed_at", Moment, nullable=False),
        sa.Column("changes", Json, nullable=False),
        sa.Column("examples", Json, nullable=False),
    )
    op.create_index("ix_drift_events_noticed_at", "drift_events", ["noticed_at"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("drift_events")
    op.drop_table("drift_states")
