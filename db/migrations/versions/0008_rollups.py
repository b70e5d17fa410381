"""How long requests took and who came, in the counts; what a segment adds to the counts, beside it."""

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and columns; the next count takes all that is stored already."""
    op.create_table(
        "traffic_latencies",
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("bucket", sa.BigInteger, nullable=False),
        sa.Column("hour", Moment, nullable=False),
        sa.Column("source_id", sa.Integer, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("host", sa.Text),
    )
    op.create_index("ix_traffic_latencies_part_hour", "traffic_latencies", ["part", "hour"])
    op.create_table(
        "traffic_visitors",
        sa.Column("hour", Moment, nullable=False),
        sa.Column("source_id", sa.Integer, nullable=False),
        sa.Column("sketch", sa.LargeBinary),
    )
    op.create_index("ix_traffic_visitors_hour", "traffic_visitors", ["hour"])
    op.add_column("traffic_days", sa.Column("timed", sa.BigInteger))
    op.add_column("traffic_days", sa.Column("microseconds", sa.BigInteger))
    op.add_column("segments", sa.Column("tally", sa.LargeBinary))
    _count_anew()


def downgrade() -> None:
    """Drop them; what an older version counts it counts anew."""
    op.drop_column("segments", "tally")
    op.drop_column("traffic_days", "microseconds")
    op.drop_column("traffic_days", "timed")
    op.drop_table("traffic_visitors")
    op.drop_table("traffic_latencies")
    _count_anew()


def _count_anew() -> None:
    for table in ("traffic_minutes", "traffic_days"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - our names
    op.execute("UPDATE segments SET is_counted = FALSE WHERE is_counted")
