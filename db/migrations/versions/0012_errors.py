"""Errors by path apart from paths, in the counts."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_UNSPLIT = sa.text("kind = 'path' AND status IS NOT NULL")
_COUNTS = ("traffic_minutes", "traffic_days", "traffic_latencies", "traffic_visitors")


def upgrade() -> None:
    """Index the rows to be split: the next count does that, and every answer is right before it.

    So the tables are not held for long, and what an older process still counts is found too.
    """
    op.create_index(
        "ix_traffic_days_unsplit",
        "traffic_days",
        ["day"],
        postgresql_where=_UNSPLIT,
        sqlite_where=_UNSPLIT,
    )


def downgrade() -> None:
    """Drop the index; an older version counts anew."""
    op.drop_index("ix_traffic_days_unsplit", "traffic_days")
    for table in _COUNTS:
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - our names
    op.execute("UPDATE segments SET is_counted = FALSE WHERE is_counted")
