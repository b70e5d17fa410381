"""Host, class of statuses and method in the counts of minutes."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLES = ("traffic_latency_minutes", "traffic_visitor_minutes")


def upgrade() -> None:
    """Add the keys to both tables.

    Rows without them cannot be split: the tables are emptied, and what was counted before, or is by an older
    process today, stays to the records.
    """
    for table in _TABLES:
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - our names
        op.add_column(table, sa.Column("status_class", sa.SmallInteger))
        op.add_column(table, sa.Column("rest_method", sa.Text))
    op.add_column("traffic_visitor_minutes", sa.Column("host", sa.Text))
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
    """Drop the keys: rows that have one key then are added up, or merged, as any others."""
    op.drop_column("traffic_visitor_minutes", "host")
    for table in _TABLES:
        op.drop_column(table, "rest_method")
        op.drop_column(table, "status_class")
