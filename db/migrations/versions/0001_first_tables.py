"""First tables: sources, ledger, lake, clean records, and the view clean_logs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from db import clean_logs
from db.columns import Address, Moment, Unsigned

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SMALL_KEY = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_STAGES = "stage IN ('lake', 'clean')"

_NO_OVERLAP = """
ALTER TABLE segments ADD CONSTRAINT ex_segments_range EXCLUDE USING gist
    (source_id WITH =, stage WITH =, int8range(start_offset, end_offset) WITH &&)
"""
# The segment that starts last at or before the new start is the only earlier one that can reach into it.
_NO_OVERLAP_TRIGGER = """
CREATE TRIGGER tr_segments_{event} BEFORE {event} ON segments
WHEN EXISTS (
    SELECT 1 FROM segments AS other
    WHERE other.source_id = NEW.source_id AND other.stage = NEW.stage
      AND other.start_offset < NEW.end_offset AND other.end_offset > NEW.start_offset
      AND other.start_offset >= coalesce((
          SELECT max(start_offset) FROM segments
          WHERE source_id = NEW.source_id AND stage = NEW.stage AND start_offset <= NEW.start_offset), 0)
      AND {other}
) BEGIN SELECT RAISE(ABORT, 'segments overlap'); END
"""


def upgrade() -> None:
    """Create everything."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    _create_catalogue()
    _create_ledger()
    for name, *columns in _line_tables():
        _create_lines(name, columns, sqlite)
    if sqlite:
        op.execute(_NO_OVERLAP_TRIGGER.format(event="INSERT", other="TRUE"))
        op.execute(_NO_OVERLAP_TRIGGER.format(event="UPDATE", other="other.id <> OLD.id"))
    else:
        op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        op.execute(_NO_OVERLAP)
        _create_summaries("raw_logs", "source_id", "line_start")
        _create_summaries("clean_records", "source_id", "line_start", "timestamp")
        op.create_index(
            "ix_rejected_lines_source_id_line_start", "rejected_lines", ["source_id", "line_start"]
        )
    op.execute(clean_logs.view(op.get_bind().dialect.name))


def downgrade() -> None:
    """Drop everything."""
    op.execute("DROP VIEW clean_logs")
    names = ("clean_records", "rejected_lines", "raw_logs", "conflicts", "segments", "formats", "sources")
    for name in names:
        op.drop_table(name)


def _create_catalogue() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("device", Unsigned, nullable=False),
        sa.Column("inode", Unsigned, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("format", sa.Text),
        sa.Column("first_seen_at", Moment, nullable=False),
        sa.UniqueConstraint("key", name=op.f("uq_sources_key")),
    )
    op.create_table(
        "formats",
        sa.Column("id", _SMALL_KEY, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("name", "version", name=op.f("uq_formats_name_version")),
    )


def _create_ledger() -> None:
    place = ("source_id", "stage", "start_offset")
    op.create_table(
        "segments",
        sa.Column("id", _BIG_KEY, primary_key=True),
        *_range_columns("segments"),
        sa.Column("line_count", sa.Integer, nullable=False),
        sa.Column("record_count", sa.Integer, nullable=False),
        sa.Column("rejected_count", sa.Integer, nullable=False),
        sa.Column(
            "format_id", sa.SmallInteger, sa.ForeignKey("formats.id", name=op.f("fk_segments_format_id"))
        ),
        sa.Column("batch_id", sa.Uuid, nullable=False),
        sa.Column("stored_at", Moment, nullable=False),
        sa.CheckConstraint("start_offset >= 0 AND end_offset > start_offset", name=op.f("ck_segments_range")),
    )
    op.create_index(op.f("ix_segments_source_id_stage_start_offset"), "segments", [*place], unique=True)
    op.create_table(
        "conflicts",
        sa.Column("id", sa.Integer, primary_key=True),
        *_range_columns("conflicts"),
        sa.Column("block", sa.LargeBinary, nullable=False),
        sa.Column("batch_id", sa.Uuid, nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
        sa.Column("resolved_at", Moment),
    )
    unique = [*place, "end_offset", "checksum"]
    op.create_index(
        op.f("ix_conflicts_source_id_stage_start_offset_end_offset_checksum"),
        "conflicts",
        unique,
        unique=True,
    )


def _range_columns(table: str) -> list[Any]:
    source = sa.ForeignKey("sources.id", name=op.f(f"fk_{table}_source_id"))
    return [
        sa.Column("source_id", sa.Integer, source, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("start_offset", sa.BigInteger, nullable=False),
        sa.Column("end_offset", sa.BigInteger, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.CheckConstraint(_STAGES, name=op.f(f"ck_{table}_stage")),
    ]


def _line_tables() -> list[tuple[Any, ...]]:
    small = sa.SmallInteger
    numbers: list[Any] = [
        sa.Column("timestamp", Moment, nullable=False),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("port", sa.Integer),
        *(sa.Column(name, small) for name in ("utc_offset_minutes", "status")),
        sa.Column("format_id", small, nullable=False),
        sa.Column("ip", Address),
    ]
    texts = ["client_host", "session", "user_name", "rest_method", "schema", "host", "path", "query"]
    texts += ["rest_version", "referer", "user_agent", "country", "city"]
    why: list[Any] = [
        sa.Column("format_id", small),
        sa.Column("position", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
    ]
    return [
        ("raw_logs", *_readable()),
        ("rejected_lines", *why, *_readable()),
        ("clean_records", *numbers, *(sa.Column(name, sa.Text) for name in texts)),
    ]


def _readable() -> list[Any]:
    return [sa.Column("line", sa.Text, nullable=False), sa.Column("raw", sa.LargeBinary)]


def _create_lines(name: str, columns: list[Any], sqlite: bool) -> None:
    place: list[Any] = [
        sa.Column("source_id", sa.Integer, nullable=False),
        sa.Column("stored_on", sa.Date, nullable=False),
        sa.Column("line_start", sa.BigInteger, nullable=False),
    ]
    key: list[Any] = (
        [sa.PrimaryKeyConstraint("source_id", "line_start", name=op.f(f"pk_{name}"))] if sqlite else []
    )
    by_month = "RANGE (stored_on)"
    op.create_table(name, *place, *columns, *key, sqlite_with_rowid=False, postgresql_partition_by=by_month)
    if not sqlite:
        op.execute(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")


def _create_summaries(name: str, *columns: str) -> None:
    options = {"pages_per_range": 32, "autosummarize": "on"}
    op.create_index(
        op.f(f"ix_{name}_{'_'.join(columns)}"),
        name,
        [*columns],
        postgresql_using="brin",
        postgresql_with=options,
    )
