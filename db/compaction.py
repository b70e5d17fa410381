"""Rows of the counts with one key made one, a day at a time: what many segments counted takes few rows.

Paths by status, which an older version counted, become paths and errors on that occasion. What is asked for
together is written together: a question for one kind of rows of a day reads few pages.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    FromClause,
    MetaData,
    Table,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    text,
    true,
    union_all,
)

from db import minutes, visitors
from db.faults import translated
from db.traffic import (
    ERROR,
    FIRST_ERROR,
    UNSPLIT,
    Condition,
    Counts,
    TrafficDay,
    TrafficLatency,
    TrafficMinute,
    TrafficVisitors,
)

_DAY, _INSTANT = timedelta(days=1), timedelta(microseconds=1)
#: A line may say that it was written so much later than now; what is later still is no day that comes next.
AHEAD = _DAY
_COMPACTED = (
    TrafficDay,
    TrafficMinute,
    TrafficLatency,
    TrafficVisitors,
    minutes.TrafficLatencyMinute,
    minutes.TrafficVisitorMinute,
)
_OWN = text("""
    SELECT relname FROM pg_class
    WHERE relname = ANY(:names) AND pg_table_is_visible(oid) AND pg_has_role(relowner, 'USAGE')
""")
#: Makes the query for the rows that stand for others, with the columns of `_columns`.
_Made = Callable[[FromClause], Any]


def newest_day(connection: Connection) -> datetime | None:
    """Return the beginning of the newest day (UTC) that is counted, None without any."""
    latest = select(func.max(TrafficMinute.minute)).where(TrafficMinute.minute < datetime.now(UTC) + AHEAD)
    return _day_of(connection.execute(latest).scalar())


def next_day(connection: Connection, since: datetime | None) -> datetime | None:
    """Return the beginning of the first day (UTC) that has counts from a moment on, None: of all."""
    later = true() if since is None else TrafficMinute.minute >= since
    return _day_of(connection.execute(select(func.min(TrafficMinute.minute)).where(later)).scalar())


def days_before(connection: Connection, moment: datetime | None) -> list[datetime]:
    """Return the beginnings of the days (UTC) that have counts and are before a moment, if there is one."""
    days: list[datetime] = []
    # One after the other by the index: the counts of a day are thousands of rows.
    day = moment and next_day(connection, None)
    while day and moment and day < moment:
        days.append(day)
        day = next_day(connection, end_of(day))
    return days


def unsplit_day(connection: Connection) -> datetime | None:
    """Return the beginning of the first day (UTC) that has paths by status, None without any."""
    day: date | None = connection.execute(select(func.min(TrafficDay.day)).where(UNSPLIT)).scalar()
    return None if day is None else datetime.combine(day, time(), UTC)


def _day_of(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(hour=0, minute=0)


def end_of(day: datetime) -> datetime:
    """Return the last moment of the day that begins then; the last day that there is has no next one."""
    return day + (_DAY - _INSTANT)


def compact(connection: Connection, since: datetime) -> bool:
    """Make rows with one key one, of the day that begins then; return whether there were any."""
    until, day, is_changed = end_of(since), TrafficDay.day == since.date(), False
    if connection.execute(select(literal(1)).where(day, UNSPLIT).limit(1)).first():
        _replace(connection, TrafficDay, day & UNSPLIT, _split)
        is_changed = True
    minute, hour = TrafficMinute.minute, TrafficLatency.hour
    for model, own in (
        (TrafficDay, day),
        (TrafficMinute, (minute >= since) & (minute <= until)),
        (TrafficLatency, (hour >= since) & (hour <= until)),
    ):
        if connection.execute(_several(model, own)).first():
            _replace(connection, model, own, partial(_added_up, model))
            is_changed = True
    visitors.merge(connection, since, until)
    minutes.merge(connection, since, until)
    return is_changed


def vacuum(engine: Engine) -> None:
    """Free the room of rows that are gone, where this role may: autovacuum comes when much more is gone.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    if engine.dialect.name != "postgresql":
        return
    with translated(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # A session without a time limit is not for whoever comes next, however this ends.
        connection.detach()
        connection.execute(text("SET statement_timeout = 0"))
        tables = connection.scalars(_OWN, {"names": [model.__tablename__ for model in _COMPACTED]}).all()
        if tables:
            connection.execute(text(f"VACUUM (ANALYZE, SKIP_LOCKED) {', '.join(tables)}"))


def _columns(model: type[Counts]) -> list[str]:
    """Return the names of the columns, the key first."""
    return [*_keys(model), *model.MEASURES]


def _keys(model: type[Counts]) -> list[str]:
    return [column.name for column in model.__table__.columns if column.name not in model.MEASURES]


def _sums(names: tuple[str, ...], rows: FromClause) -> list[Any]:
    return [cast(func.sum(rows.c[name]), BigInteger).label(name) for name in names]


def _several(model: type[Counts], condition: Condition) -> Any:
    """Return the query for whether some rows have one key, or come to nothing: most days stay as they are."""
    keys = [model.__table__.c[name] for name in _keys(model)]
    query = select(literal(1)).where(condition).group_by(*keys)
    return query.having((func.count() > 1) | (func.sum(model.hits) == 0)).limit(1)


def _added_up(model: type[Counts], rows: FromClause) -> Any:
    keys = [rows.c[name] for name in _keys(model)]
    query = select(*keys, *_sums(model.MEASURES, rows)).group_by(*keys).having(func.sum(rows.c.hits) != 0)
    return query.order_by(*(rows.c[name] for name in model.TOGETHER))


def _split(rows: FromClause) -> Any:
    """Return paths, and errors, of paths by status."""
    own = rows.c
    key = [own.source_id, own.day, own.value]
    paths = select(*key, own.kind, null().label("status"), *_sums(TrafficDay.MEASURES, rows))
    untimed = [null().label("timed"), null().label("microseconds")]
    errors = select(*key, literal(ERROR), own.status, *_sums(("hits", "bytes"), rows), *untimed)
    errors = errors.where(own.status >= FIRST_ERROR).group_by(*key, own.status)
    made = union_all(paths.group_by(*key, own.kind), errors).subquery()
    return select(*(made.c[name] for name in _columns(TrafficDay)))


def _replace(connection: Connection, model: type[Counts], condition: Condition, made: _Made) -> None:
    """Put what is made of some rows in their place."""
    table, columns = model.__table__, _columns(model)
    add = insert(model)
    if connection.dialect.name == "postgresql":
        # One statement: rows that others insert meanwhile are not seen, and stay.
        gone = delete(model).where(condition).returning(*table.columns).cte("gone")
        connection.execute(add.from_select(columns, made(gone)))
        return
    kept = Table(
        "compacted", MetaData(), *(Column(c, table.c[c].type) for c in columns), prefixes=["TEMPORARY"]
    )
    kept.create(connection)
    connection.execute(insert(kept).from_select(columns, made(select(table).where(condition).subquery())))
    connection.execute(delete(model).where(condition))
    connection.execute(add.from_select(columns, select(kept)))
    kept.drop(connection)
