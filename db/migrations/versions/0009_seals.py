"""Seals: the hash chain over what the lake has stored."""

import sqlalchemy as sa
from alembic import op

from db.columns import Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; the next closing seals what is stored already."""
    op.create_table(
        "seals",
        sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("start_offset", sa.BigInteger, nullable=False),
        sa.Column("end_offset", sa.BigInteger, nullable=False),
        sa.Column("marks", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("sealed_at", Moment, nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("seals")
