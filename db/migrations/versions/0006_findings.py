"""Findings of the detections, how far each source has been looked at, silences, and alerts to send."""

import sqlalchemy as sa
from alembic import op

from db.columns import Json, Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_LASTING = sa.text("state <> 'closed'")


def upgrade() -> None:
    """Create the tables; the next look takes what is stored already. Known drifts are no news."""
    op.create_table(
        "detection_states",
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("state", Json, nullable=False),
        sa.Column("looked_at", Moment, nullable=False),
        sa.Column("silent_after", Moment),
    )
    op.create_table(
        "findings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "rule", "severity", "subject")),
        *(sa.Column(name, Moment, nullable=False) for name in ("since", "until", "noticed_at", "seen_at")),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("evidence", Json, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("alerted_at", Moment),
    )
    op.create_index(
        "ix_findings_lasting",
        "findings",
        ["rule", "subject", "source_id"],
        unique=True,
        postgresql_where=_LASTING,
        sqlite_where=_LASTING,
    )
    op.create_index("ix_findings_seen_at", "findings", ["seen_at"])
    op.create_index("ix_findings_until", "findings", ["until"])
    _create_alerts()
    op.add_column("drift_events", sa.Column("alerted_at", Moment))
    op.execute("UPDATE drift_events SET alerted_at = noticed_at")


def _create_alerts() -> None:
    op.create_table(
        "silences",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("until", Moment, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("content", Json, nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("sent_at", Moment),
        sa.Column("problem", sa.Text),
    )
    op.create_index("ix_alerts_due_at", "alerts", ["due_at"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_column("drift_events", "alerted_at")
    for table in ("alerts", "silences", "findings", "detection_states"):
        op.drop_table(table)
