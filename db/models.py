"""The tables: sources, the ledger, the lake, the clean records and what was set apart.

    sources ─┬─ segments          which byte ranges each stage has stored: the ledger
             ├─ raw_logs          the lake: every line, byte-exact
             ├─ clean_records     the typed fields; the view clean_logs adds what follows from them
             ├─ rejected_lines    lines that do not parse, with the reason
             ├─ traffic_*         counts of the clean records, for reports (see traffic.py)
             └─ conflicts         blocks that say something else than what is stored
    formats                       which version of which format made a record
    findings, silences, alerts    what the detections noticed, and who is told (see findings.py)
    watches                       what the watch over exchange and queues found last

The three tables of lines have no foreign keys and, on PostgreSQL, no keys at all: the segment written in
the same transaction keeps a line from being stored twice. There they are partitioned by the month of storing
and by the writer (see partitions.py, lanes.py); SQLite orders their rows by (source_id, line_start), which
measured as fast as no order.
Fixed-width columns stand first, but for `lane`, which came later: no padding.
"""

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.columns import Address, Json, Moment, Unsigned

#: One rule for every name, so that a migration can drop what another one made.
NAMING = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
#: Only a plain INTEGER counts up by itself on SQLite.
_SMALL_KEY = SmallInteger().with_variant(Integer(), "sqlite")
_POSTGRESQL_ONLY = {"dialect": "postgresql"}
_BIG_KEY = BigInteger().with_variant(Integer(), "sqlite")
_PLACE = ("source_id", "line_start")
_PARTITIONED = {"postgresql_partition_by": "RANGE (stored_on)"}


class Base(DeclarativeBase):
    """Root of the tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        bytes: LargeBinary(),
        date: Date(),
        datetime: Moment(),
        uuid.UUID: Uuid(),
    }


def _block_range(name: str, *columns: str) -> Index:
    # A summary per 32 pages instead of an entry per line: blocks of lines lie together on disk.
    index = Index(
        f"ix_{name}_{'_'.join(columns)}",
        *columns,
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
        info=_POSTGRESQL_ONLY,
    )
    return index.ddl_if(dialect="postgresql")


class Source(Base):
    """One generation of one file on one host."""

    __tablename__ = "sources"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    host: Mapped[str]
    path: Mapped[str]
    device: Mapped[int] = mapped_column(Unsigned)
    inode: Mapped[int] = mapped_column(Unsigned)
    generation: Mapped[int]
    #: Name of the format that was recognised or set; NULL until the clean stage has recognised one.
    format: Mapped[str | None]
    first_seen_at: Mapped[datetime]


class Format(Base):
    """One version of one format."""

    __tablename__ = "formats"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[int] = mapped_column(_SMALL_KEY, primary_key=True)
    name: Mapped[str]
    version: Mapped[int]


class Segment(Base):
    """A byte range of a source that a stage has stored.

    No two segments of one source and stage overlap: PostgreSQL holds that with an exclusion constraint,
    SQLite with a trigger; both stand in the migration.
    """

    __tablename__ = "segments"
    __table_args__ = (
        CheckConstraint("stage IN ('lake', 'clean')", "stage"),
        CheckConstraint("start_offset >= 0 AND end_offset > start_offset", "range"),
        Index(None, "source_id", "stage", "start_offset", unique=True),
        Index(
            "ix_segments_uncounted",
            "id",
            postgresql_where=text("NOT is_counted AND stage = 'clean'"),
            sqlite_where=text("NOT is_counted AND stage = 'clean'"),
        ),
    )

    id: Mapped[int] = mapped_column(_BIG_KEY, primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey(Source.id))
    stage: Mapped[str]
    start_offset: Mapped[int] = mapped_column(BigInteger)
    end_offset: Mapped[int] = mapped_column(BigInteger)
    #: SHA-256 of exactly the bytes of the range.
    checksum: Mapped[bytes]
    line_count: Mapped[int]
    record_count: Mapped[int]
    rejected_count: Mapped[int]
    format_id: Mapped[int | None] = mapped_column(SmallInteger, ForeignKey(Format.id))
    batch_id: Mapped[uuid.UUID]
    stored_at: Mapped[datetime]
    #: Whether its records are in the counts of traffic.py.
    is_counted: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: Of a clean segment, what its records add to the counts (tally.py), or have added once it is counted.
    #: NULL: SQL is to count that.
    tally: Mapped[bytes | None]


class Conflict(Base):
    """Other bytes for a range that is stored already: the first stays, these are kept apart."""

    __tablename__ = "conflicts"
    __table_args__ = (
        CheckConstraint("stage IN ('lake', 'clean')", "stage"),
        Index(None, "source_id", "stage", "start_offset", "end_offset", "checksum", unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey(Source.id))
    stage: Mapped[str]
    start_offset: Mapped[int] = mapped_column(BigInteger)
    end_offset: Mapped[int] = mapped_column(BigInteger)
    #: SHA-256 of the other bytes of [start_offset, end_offset).
    checksum: Mapped[bytes]
    #: Those bytes, a zstd frame.
    block: Mapped[bytes]
    batch_id: Mapped[uuid.UUID]
    seen_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]


class Watch(Base):
    """What the watch over the broker found last of an exchange or queue, by its name."""

    __tablename__ = "watches"

    name: Mapped[str] = mapped_column(primary_key=True)
    checked_at: Mapped[datetime]
    #: What is wrong with it, in words.
    problem: Mapped[str | None]
    #: Of a data queue: the last probe sent through the exchange, and when it arrived in the queue's stage.
    probe_id: Mapped[uuid.UUID | None]
    sent_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]


class _Line(Base):
    """What every line of every stage has: the source and the byte offset at which it starts there.

    `lane` is that of its writer, of no meaning but to the partitions.
    """

    __abstract__ = True

    source_id: Mapped[int]
    stored_on: Mapped[date]
    line_start: Mapped[int] = mapped_column(BigInteger)
    lane: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # The mapper needs a key to tell rows apart; PostgreSQL gets none (see the module's docstring).
        cls.__mapper_args__ = {"primary_key": ["source_id", "line_start"]}
        super().__init_subclass__(**kwargs)

    @classmethod
    def within(cls, source_id: int, start: int, end: int) -> ColumnElement[bool]:
        """Return the condition of the lines of a source that start in [start, end)."""
        return (cls.source_id == source_id) & (cls.line_start >= start) & (cls.line_start < end)


class RawLog(_Line):
    """One line of the lake.

    `raw` is NULL exactly when the line's bytes are `line` in UTF-8 and one newline. Otherwise `raw` holds the
    bytes, newline included where there is one, and `line` a readable form of (the head of) them.
    """

    __tablename__ = "raw_logs"
    __table_args__ = (_block_range("raw_logs", *_PLACE), _PARTITIONED)

    line: Mapped[str]
    raw: Mapped[bytes | None]


class RejectedLine(_Line):
    """One line that does not parse; `line` and `raw` as in the lake."""

    __tablename__ = "rejected_lines"
    __table_args__ = (
        Index(None, *_PLACE, info=_POSTGRESQL_ONLY).ddl_if(dialect="postgresql"),
        _PARTITIONED,
    )

    format_id: Mapped[int | None] = mapped_column(SmallInteger)
    #: Byte position in the line at which parsing stopped.
    position: Mapped[int | None]
    reason: Mapped[str]
    line: Mapped[str]
    raw: Mapped[bytes | None]


class CleanRecord(_Line):
    """One parsed line, each fact once; beside its place they are `pipeline.formats.base.COLUMNS`."""

    __tablename__ = "clean_records"
    __table_args__ = (_block_range("clean_records", *_PLACE, "timestamp"), _PARTITIONED)

    timestamp: Mapped[datetime]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    port: Mapped[int | None]
    utc_offset_minutes: Mapped[int | None] = mapped_column(SmallInteger)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    format_id: Mapped[int] = mapped_column(SmallInteger)
    ip: Mapped[str | None] = mapped_column(Address)
    client_host: Mapped[str | None]
    session: Mapped[str | None]
    user_name: Mapped[str | None]
    rest_method: Mapped[str | None]
    schema: Mapped[str | None]
    host: Mapped[str | None]
    path: Mapped[str | None]
    query: Mapped[str | None]
    rest_version: Mapped[str | None]
    referer: Mapped[str | None]
    user_agent: Mapped[str | None]
    country: Mapped[str | None]
    city: Mapped[str | None]
    asn: Mapped[int | None] = mapped_column(BigInteger)
    ip_scope: Mapped[str | None]
    browser: Mapped[str | None]
    os: Mapped[str | None]
    device: Mapped[str | None]
    is_bot: Mapped[bool | None]
    server_name: Mapped[str | None]
    duration_seconds: Mapped[float | None] = mapped_column(Double)
    upstream_seconds: Mapped[float | None] = mapped_column(Double)
    level: Mapped[str | None]
    program: Mapped[str | None]
    process_id: Mapped[int | None] = mapped_column(BigInteger)
    message: Mapped[str | None]
    continues: Mapped[int | None] = mapped_column(BigInteger)
    inferred: Mapped[str | None]
    failed_fields: Mapped[str | None]
    extra: Mapped[dict[str, Any] | None] = mapped_column(Json)
