"""Counts of the clean records, so that a report reads thousands of rows and not millions.

    traffic_minutes    hits and bytes by minute, source, status, method and host
    traffic_days       hits and bytes by day, source and value: path, error, agent, address, country, browser
    traffic_latencies  hits by hour, source, host and how long they took (durations.py)
    traffic_visitors   who came, by hour and source, as a sketch (sketches.py)

Beat counts what the clean stage has stored (counting.py), whole segments at a time, and notes in the ledger
which it has counted. What is not counted yet a report reads from the records (queries.py), so that its answer
is exact at any moment. The tables hold changes, to be summed: who deletes or replaces the records of a
counted segment takes them away again in the same transaction, and nobody waits for anybody. From a sketch
nothing can be taken away: that of an hour that lost records is marked, and made anew by the next count.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Index,
    SmallInteger,
    Text,
    case,
    cast,
    func,
    text,
    type_coerce,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Moment
from db.models import Base, CleanRecord


class Counts(Base):
    """What every count has: it is a change, and may be negative."""

    __abstract__ = True

    #: The columns that are summed; all others are the key.
    MEASURES: ClassVar[tuple[str, ...]] = ("hits", "bytes")
    #: What rows have in common that are read together: in this order compacted ones are written.
    TOGETHER: ClassVar[tuple[str, ...]] = ()

    hits: Mapped[int] = mapped_column(BigInteger)
    source_id: Mapped[int]


class TrafficMinute(Counts):
    """Records of one minute (UTC); `host` is the virtual host or, without one, the host of the URL."""

    __tablename__ = "traffic_minutes"
    __table_args__ = (Index(None, "minute"),)
    TOGETHER = ("minute",)

    bytes: Mapped[int] = mapped_column(BigInteger)
    minute: Mapped[datetime]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    rest_method: Mapped[str | None]
    host: Mapped[str | None]
    # The mapper needs a key to tell rows apart; the table has none.
    __mapper_args__ = {"primary_key": ["minute", "source_id"]}  # noqa: RUF012 - SQLAlchemy's attribute


#: What tells rows of an older version, which counted paths by status: they are both, paths and errors.
UNSPLIT = text("kind = 'path' AND status IS NOT NULL")


class TrafficDay(Counts):
    """Records of one day (UTC) with one value.

    With a path only go `timed`, the records that say how long they took, and the sum of that; with an error,
    which is a path that was answered so, only `status`. Paths by status are rows of an older version.
    """

    __tablename__ = "traffic_days"
    __table_args__ = (
        Index(None, "kind", "day"),
        Index("ix_traffic_days_unsplit", "day", postgresql_where=UNSPLIT, sqlite_where=UNSPLIT),
    )
    MEASURES = ("hits", "bytes", "timed", "microseconds")
    TOGETHER = ("kind",)

    bytes: Mapped[int] = mapped_column(BigInteger)
    timed: Mapped[int | None] = mapped_column(BigInteger)
    microseconds: Mapped[int | None] = mapped_column(BigInteger)
    day: Mapped[date]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    kind: Mapped[str]
    value: Mapped[str]
    __mapper_args__ = {"primary_key": ["day", "kind", "value", "source_id"]}  # noqa: RUF012 - as above


class TrafficLatency(Counts):
    """Records of one hour (UTC) and host that took about as long; `part` is a key of `durations.PARTS`."""

    __tablename__ = "traffic_latencies"
    __table_args__ = (Index(None, "part", "hour"),)
    MEASURES = ("hits",)
    TOGETHER = ("part", "hour")

    #: Microseconds, the lower end of a bucket.
    bucket: Mapped[int] = mapped_column(BigInteger)
    hour: Mapped[datetime]
    part: Mapped[str]
    host: Mapped[str | None]
    __mapper_args__ = {"primary_key": ["hour", "part", "source_id", "bucket"]}  # noqa: RUF012 - as above


class TrafficVisitors(Base):
    """Who came to a source in one hour (UTC); several rows of an hour are merged, whatever they share."""

    __tablename__ = "traffic_visitors"
    __table_args__ = (Index(None, "hour"),)

    hour: Mapped[datetime]
    source_id: Mapped[int]
    #: What sketches.py packs; NULL: the hour lost records, its rows are to be made anew.
    sketch: Mapped[bytes | None]
    __mapper_args__ = {"primary_key": ["hour", "source_id"]}  # noqa: RUF012 - as above


Condition = ColumnElement[bool]

#: Bytes of the largest answer that is added up. A larger one is none, and a few would overflow the sums.
LARGEST_SIZE = 1 << 40


#: The column of each kind of traffic_days.
VALUES = {"path": "path", "agent": "user_agent", "address": "ip", "country": "country", "browser": "browser"}
#: The kind of paths by status, and the least status of an error: others are not counted by path.
ERROR, FIRST_ERROR = "error", 400
#: What a tally begins with; one of an older version lacks some keys, and its segment is counted by SQL.
TALLY_VERSION = 3
#: What stands for a status that is NULL in tallies: no smallint.
NO_STATUS = -(1 << 15) - 1
#: Where tallies count minutes, hours and days from.
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def kinds() -> dict[str, Any]:
    """Return for each kind of traffic_days its column; a record without a value does not count."""
    return {kind: getattr(CleanRecord, column) for kind, column in (VALUES | {ERROR: "path"}).items()}


def hosts() -> ColumnElement[Any]:
    """Return the host that a record counts for, as an expression."""
    return func.coalesce(CleanRecord.server_name, CleanRecord.host)


def status_class(status: Any) -> ColumnElement[Any]:
    """Return the class of a status, 2 for 200 to 299, as an expression; NULL without one."""
    found: ColumnElement[Any] = status // 100
    return found


def class_of(status: int | None) -> int | None:
    """Return the class of a status, as `status_class`; that of a negative one is rounded up, as SQL does."""
    return None if status is None else int(status / 100)


def keys(names: Sequence[str], dialect: str) -> list[ColumnElement[Any]]:
    """Return what records are counted by, as labelled expressions.

    Names are minute, hour, source_id, host, status_class and rest_method.
    """
    own: dict[str, Any] = {
        "source_id": CleanRecord.source_id,
        "host": hosts(),
        "status_class": status_class(CleanRecord.status),
        "rest_method": CleanRecord.rest_method,
    }
    moments = ("minute", "hour")
    own |= {unit: truncated(unit, CleanRecord.timestamp, dialect) for unit in moments if unit in names}
    return [own[name].label(name) for name in names]


def as_text(kind: str, value: Any, dialect: str) -> ColumnElement[Any]:
    """Return the text of a value of a kind; that of `inet` would carry the length of its network."""
    is_inet = kind == "address" and dialect == "postgresql"
    return type_coerce(func.host(value) if is_inet else value, Text())


def truncated(unit: str, column: Any, dialect: str) -> ColumnElement[Any]:
    """Return the minute, hour or day of a column as an expression."""
    if dialect == "postgresql":
        # date_bin counts on from the origin: half the time of date_trunc, which looks at time zones.
        origin = text("timestamptz '2000-01-01 00:00:00+00'")
        return type_coerce(func.date_bin(text(f"interval '1 {unit}'"), column, origin), Moment())
    length, rest = {"minute": (16, ":00"), "hour": (13, ":00:00"), "day": (10, " 00:00:00")}[unit]
    return type_coerce(func.substr(column, 1, length).concat(rest), Moment())


def day_of(moment: Any, dialect: str) -> ColumnElement[Any]:
    """Return the UTC day of a moment as an expression."""
    if dialect == "postgresql":
        return cast(func.timezone("UTC", moment), Date)
    return type_coerce(func.substr(moment, 1, 10), Date())


def total(column: Any) -> ColumnElement[Any]:
    """Return a sum as a bigint, 0 for none: PostgreSQL makes numeric of it."""
    return func.coalesce(cast(func.sum(column), BigInteger), 0)


def size_sum(size: Any = CleanRecord.size_bytes) -> ColumnElement[Any]:
    """Return the sum of the sizes of records."""
    return total(case((size.between(0, LARGEST_SIZE), size)))
