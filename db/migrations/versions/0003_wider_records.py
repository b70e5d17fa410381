"""Clean records of more than access logs: what enrichment adds, and fields without a column of their own."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from db import clean_logs
from db.columns import Json

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _columns() -> list[sa.Column[Any]]:
    kinds: dict[str, Any] = {
        "asn": sa.BigInteger,
        **dict.fromkeys(("ip_scope", "browser", "os", "device"), sa.Text),
        "is_bot": sa.Boolean,
        "server_name": sa.Text,
        **dict.fromkeys(("duration_seconds", "upstream_seconds"), sa.Double),
        **dict.fromkeys(("level", "program"), sa.Text),
        "process_id": sa.BigInteger,
        "message": sa.Text,
        "continues": sa.BigInteger,
        **dict.fromkeys(("inferred", "failed_fields"), sa.Text),
        "extra": Json,
    }
    return [sa.Column(name, kind) for name, kind in kinds.items()]


def upgrade() -> None:
    """Add the columns to the table, and to the end of the view."""
    for column in _columns():
        op.add_column("clean_records", column)
    _replace_view(
        {column.name: column.name for column in _columns()} | {"is_complete": "failed_fields IS NULL"}
    )


def downgrade() -> None:
    """Take both back."""
    _replace_view({})
    for column in _columns():
        op.drop_column("clean_records", column.name)


def _replace_view(added: dict[str, str]) -> None:
    op.execute("DROP VIEW clean_logs")
    op.execute(clean_logs.view(op.get_bind().dialect.name, added))
