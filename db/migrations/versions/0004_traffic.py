"""Counts of the clean records, by minute and by day, and which segments are counted."""

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; the next count takes what is stored already."""
    op.create_table(
        "traffic_minutes",
        sa.Column("minute", Moment, nullable=False),
        *_counts(),
        sa.Column("status", sa.SmallInteger),
        sa.Column("rest_method", sa.Text),
        sa.Column("host", sa.Text),
    )
    op.create_index("ix_traffic_minutes_minute", "traffic_minutes", ["minute"])
    op.create_table(
        "traffic_days",
        sa.Column("day", sa.Date, nullable=False),
        *_counts(),
        sa.Column("status", sa.SmallInteger),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("ix_traffic_days_kind_day", "traffic_days", ["kind", "day"])
    op.add_column("segments", sa.Column("is_counted", sa.Boolean, nullable=False, server_default=sa.false()))
    uncounted = sa.text("NOT is_counted AND stage = 'clean'")
    op.create_index(
        "ix_segments_uncounted",
        "segments",
        ["id"],
        postgresql_where=uncounted,
        sqlite_where=uncounted,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_segments_uncounted", "segments")
    op.drop_column("segments", "is_counted")
    op.drop_table("traffic_days")
    op.drop_table("traffic_minutes")


def _counts() -> list[sa.Column[int]]:
    return [
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("source_id", sa.Integer, nullable=False),
    ]
