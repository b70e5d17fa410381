"""Counts of the clean records, so that a report reads thousands of rows and not millions.

    traffic_minutes   hits and bytes by minute, source, status, method and host
    traffic_days      hits and bytes by day, source and value: a path with its status, an agent, an address

Beat counts what the clean stage has stored (counting.py), whole segments at a time, and notes in the ledger
which it has counted. What is not counted yet a report reads from the records (queries.py), so that its answer
is exact at any moment. Both tables hold changes, to be summed: who deletes or replaces the records of a
counted segment takes them away again in the same transaction, and nobody waits for anybody.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Index,
    SmallInteger,
    Text,
    cast,
    func,
    literal,
    text,
    type_coerce,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Moment
from db.models import Base, CleanRecord


class Counts(Base):
    """What every count has: it is a change, and may be negative."""

    __abstract__ = True

    hits: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    source_id: Mapped[int]
    status: Mapped[int | None] = mapped_column(SmallInteger)


class TrafficMinute(Counts):
    """Records of one minute (UTC); `host` is the virtual host or, without one, the host of the URL."""

    __tablename__ = "traffic_minutes"
    __table_args__ = (Index(None, "minute"),)

    minute: Mapped[datetime]
    rest_method: Mapped[str | None]
    host: Mapped[str | None]
    # The mapper needs a key to tell rows apart; the table has none.
    __mapper_args__ = {"primary_key": ["minute", "source_id"]}  # noqa: RUF012 - SQLAlchemy's attribute


class TrafficDay(Counts):
    """Records of one day (UTC) with one value; `status` goes with a path only."""

    __tablename__ = "traffic_days"
    __table_args__ = (Index(None, "kind", "day"),)

    day: Mapped[date]
    kind: Mapped[str]
    value: Mapped[str]
    __mapper_args__ = {"primary_key": ["day", "kind", "value", "source_id"]}  # noqa: RUF012 - as above


Condition = ColumnElement[bool]


def kinds() -> dict[str, tuple[Any, Any]]:
    """Return for each kind of traffic_days its column (NULL: the record does not count) and its status."""
    none = cast(literal(None), SmallInteger)
    return {
        "path": (CleanRecord.path, CleanRecord.status),
        "agent": (CleanRecord.user_agent, none),
        "address": (CleanRecord.ip, none),
    }


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


def size_sum(column: Any) -> ColumnElement[Any]:
    """Return the sum of sizes as a bigint, 0 for none: PostgreSQL makes numeric of it."""
    return func.coalesce(cast(func.sum(column), BigInteger), 0)
