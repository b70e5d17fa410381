"""What was removed from a stage's tables on purpose, so that the audit stays true."""

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; nothing was removed so far."""
    op.create_table(
        "removals",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("start_offset", sa.BigInteger, nullable=False),
        sa.Column("end_offset", sa.BigInteger, nullable=False),
        sa.Column("line_count", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("receipt_id", sa.Uuid),
        sa.Column("rest_checksum", sa.LargeBinary),
        sa.Column("removed_at", Moment, nullable=False),
        sa.CheckConstraint("stage IN ('lake', 'clean')", "stage"),
        sa.CheckConstraint("kind IN ('retention', 'erasure')", "kind"),
        sa.CheckConstraint("start_offset >= 0 AND end_offset > start_offset", "range"),
    )
    op.create_index(
        "ix_removals_source_id_stage_start_offset",
        "removals",
        ["source_id", "stage", "start_offset"],
        unique=True,
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("removals")
