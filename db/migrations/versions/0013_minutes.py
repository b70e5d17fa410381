"""How long requests took and who came, by the minute."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; what was counted before, or is by an older process today, stays to the records."""
    op.create_table(
        "traffic_latency_minutes",
        sa.Column("minute", Moment, nullable=False),
        sa.Column("source_id", sa.Integer, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("host", sa.Text),
        sa.Column("histogram", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_traffic_latency_minutes_part_minute", "traffic_latency_minutes", ["part", "minute"])
    op.create_table(
        "traffic_visitor_minutes",
        sa.Column("minute", Moment, nullable=False),
        sa.Column("source_id", sa.Integer, nullable=False),
        sa.Column("sketch", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_traffic_visitor_minutes_minute", "traffic_visitor_minutes", ["minute"])
    day_after_next = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    known_from = (
        sa.text(
            "INSERT INTO traffic_latency_minutes (minute, source_id, part, histogram) "
            "SELECT :minute, 0, 'unknown', :nothing WHERE EXISTS (SELECT * FROM segments)"
        )
        .bindparams(sa.bindparam("minute", day_after_next, Moment), nothing=b"")
        .columns()
    )
    op.execute(known_from)


def downgrade() -> None:
    """Drop the tables; the counts of hours stay. What an older version cannot add up is counted by SQL."""
    op.drop_table("traffic_visitor_minutes")
    op.drop_table("traffic_latency_minutes")
    op.execute("UPDATE segments SET tally = NULL WHERE tally IS NOT NULL")
