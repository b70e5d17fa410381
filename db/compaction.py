"""Rows of the counts with one key made one: what many segments counted takes few rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    FromClause,
    MetaData,
    Select,
    Table,
    cast,
    delete,
    func,
    insert,
    select,
)

from db import visitors
from db.traffic import Condition, Counts, TrafficDay, TrafficLatency, TrafficMinute

#: A line may say that it was written so much later than now; what is later still is no day that comes next.
AHEAD = timedelta(days=1)


def newest_day(connection: Connection) -> datetime | None:
    """Return the beginning of the newest day (UTC) that is counted, None without any."""
    latest = select(func.max(TrafficMinute.minute)).where(TrafficMinute.minute < datetime.now(UTC) + AHEAD)
    newest = connection.execute(latest).scalar()
    return newest and newest.replace(hour=0, minute=0)


def compact(connection: Connection, since: datetime) -> None:
    """Make rows with one key one, from the beginning of a day on.

    What an older day got late stays as it is: it costs a row and no error.
    """
    _add_up(connection, TrafficDay, TrafficDay.day >= since.date())
    _add_up(connection, TrafficMinute, TrafficMinute.minute >= since)
    _add_up(connection, TrafficLatency, TrafficLatency.hour >= since)
    visitors.merge(connection, since)


def _add_up(connection: Connection, model: type[Counts], condition: Condition) -> None:
    table = model.__table__
    measures = list(model.MEASURES)
    keys = [column.name for column in table.columns if column.name not in measures]
    columns = [*keys, *measures]

    def sums(rows: FromClause) -> Select[*tuple[Any, ...]]:
        added = [cast(func.sum(rows.c[name]), BigInteger).label(name) for name in measures]
        query = select(*(rows.c[name] for name in keys), *added)
        return query.group_by(*(rows.c[name] for name in keys)).having(func.sum(rows.c.hits) != 0)

    add = insert(model)
    if connection.dialect.name == "postgresql":
        # One statement: rows that others insert meanwhile are not seen, and stay.
        gone = delete(model).where(condition).returning(*table.columns).cte("gone")
        connection.execute(add.from_select(columns, sums(gone)))
        return
    added_up = Table(
        "compacted", MetaData(), *(Column(c, table.c[c].type) for c in columns), prefixes=["TEMPORARY"]
    )
    added_up.create(connection)
    connection.execute(insert(added_up).from_select(columns, sums(table).where(condition)))
    connection.execute(delete(model).where(condition))
    connection.execute(add.from_select(columns, select(added_up)))
    added_up.drop(connection)
