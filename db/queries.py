"""The named questions that reports ask: of a range of time, of one source or of all.

Times are those of the lines, in UTC, but for what has none: rejected lines and the ledger go by when they
were stored. What is counted already is read from the counts (traffic.py), the rest from the clean records,
which the block range index finds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Date,
    Engine,
    Select,
    Subquery,
    cast,
    func,
    or_,
    select,
    text,
    type_coerce,
    union_all,
)

from db.engine import reading
from db.ledger import CLEAN
from db.models import CleanRecord, RejectedLine, Segment
from db.traffic import Condition, TrafficDay, TrafficMinute, as_text, kinds, size_sum, truncated

#: Least status of an error.
FIRST_ERROR = 400
#: Memory of one sort or hash table while a question is answered: tens of thousands of paths fit.
_WORK_MEMORY = "64MB"
_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is about.

    Attributes:
        since, until: aware datetimes, [since, until).
        source_id: of one source; None is every source.
        limit: most rows of a question that ranks, as top paths; others give one row for each unit of time.
    """

    since: datetime
    until: datetime
    source_id: int | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The names of the columns, and the rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


#: Makes the statement of a question for a dialect, "postgresql" or "sqlite".
AnySelect = Select[*tuple[Any, ...]]
Statement = Callable[[Scope, str], AnySelect]


def answer(engine: Engine, name: str, scope: Scope) -> Answer:
    """Return the answer to a question of QUERIES.

    Raises:
        KeyError: no question has this name.
        DatabaseUnavailable: the database does not answer, or the range is too long for its time limit.
    """
    with reading(engine) as connection:
        return answer_within(connection, name, scope)


def answer_within(connection: Connection, name: str, scope: Scope) -> Answer:
    """Return the answer to a question as part of the caller's transaction."""
    statement = QUERIES[name](scope, connection.dialect.name)
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL work_mem = '{_WORK_MEMORY}'"))
        # Compiling takes longer than these plans gain from it.
        connection.execute(text("SET LOCAL jit = off"))
    result = connection.execute(statement)
    return Answer(tuple(result.keys()), [tuple(row) for row in result])


def _counted(
    scope: Scope, step: timedelta, counts: Callable[[datetime, datetime], AnySelect], records: AnySelect
) -> Subquery:
    """Return the rows of `counts` for the whole steps of the range, and of `records` for what they lack.

    They lack what lies before the first step and after the last one, and the segments not counted yet.
    """
    if scope.source_id is not None:
        records = records.where(CleanRecord.source_id == scope.source_id)
    first, last = _floor(scope.since + step - _INSTANT, step), _floor(scope.until, step)
    if first >= last:
        return records.where(_timed(scope.since, scope.until)).subquery()
    edges = [_timed(*edge) for edge in ((scope.since, first), (last, scope.until)) if edge[0] < edge[1]]
    uncounted = (Segment.source_id == CleanRecord.source_id) & (Segment.stage == CLEAN) & ~Segment.is_counted
    inside = (CleanRecord.line_start >= Segment.start_offset) & (CleanRecord.line_start < Segment.end_offset)
    fresh = records.join(Segment, uncounted & inside).where(_timed(first, last))
    parts = [counts(first, last), *([records.where(or_(*edges))] if edges else []), fresh]
    return union_all(*parts).subquery()


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - _ORIGIN) % step


def _timed(since: datetime, until: datetime) -> Condition:
    return (CleanRecord.timestamp >= since) & (CleanRecord.timestamp < until)


def _minutes(scope: Scope, dialect: str) -> Subquery:
    """Return minute, status, hits and bytes; a key may come in several rows."""

    def counts(first: datetime, last: datetime) -> AnySelect:
        own = TrafficMinute
        query = select(own.minute, own.status, own.hits, own.bytes)
        query = query.where(own.minute >= first, own.minute < last)
        return query if scope.source_id is None else query.where(own.source_id == scope.source_id)

    minute = truncated("minute", CleanRecord.timestamp, dialect).label("minute")
    keys = (minute, CleanRecord.status)
    records = select(*keys, func.count().label("hits"), size_sum(CleanRecord.size_bytes).label("bytes"))
    return _counted(scope, timedelta(minutes=1), counts, records.select_from(CleanRecord).group_by(*keys))


def _values(kind: str, scope: Scope, dialect: str) -> Subquery:
    """Return value, status, hits and bytes of a kind of traffic_days; a key may come in several rows."""

    def counts(first: datetime, last: datetime) -> AnySelect:
        own = TrafficDay
        query = select(own.value, own.status, own.hits, own.bytes).where(own.kind == kind)
        query = query.where(own.day >= first.date(), own.day < last.date())
        return query if scope.source_id is None else query.where(own.source_id == scope.source_id)

    value, status = kinds()[kind]
    sums = (func.count().label("hits"), size_sum(CleanRecord.size_bytes).label("bytes"))
    shown = as_text(kind, value, dialect).label("value")
    records = select(shown, status.label("status"), *sums).select_from(CleanRecord)
    return _counted(
        scope, timedelta(days=1), counts, records.where(value.is_not(None)).group_by(value, status)
    )


def _sums(rows: Subquery) -> tuple[Any, Any]:
    return cast(func.sum(rows.c.hits), BigInteger).label("hits"), size_sum(rows.c.bytes).label("bytes")


def _top(kind: str, name: str) -> Statement:
    def statement(scope: Scope, dialect: str) -> AnySelect:
        rows = _values(kind, scope, dialect)
        hits, size = _sums(rows)
        query = select(rows.c.value.label(name), hits, size).group_by(rows.c.value)
        return query.having(hits != 0).order_by(hits.desc(), rows.c.value).limit(scope.limit)

    return statement


def _status_classes(unit: str) -> Statement:
    def statement(scope: Scope, dialect: str) -> AnySelect:
        rows = _minutes(scope, dialect)
        moment = truncated(unit, rows.c.minute, dialect).label(unit)
        status_class = (rows.c.status // 100).label("status_class")
        hits, _ = _sums(rows)
        query = select(moment, status_class, hits).group_by(moment, status_class).having(hits != 0)
        return query.order_by(moment, status_class)

    return statement


def _errors_by_path(scope: Scope, dialect: str) -> AnySelect:
    rows = _values("path", scope, dialect)
    hits, _ = _sums(rows)
    query = select(rows.c.value.label("path"), rows.c.status, hits).where(rows.c.status >= FIRST_ERROR)
    query = query.group_by(rows.c.value, rows.c.status)
    return query.having(hits != 0).order_by(hits.desc(), rows.c.value, rows.c.status).limit(scope.limit)


def _bytes_by_hour(scope: Scope, dialect: str) -> AnySelect:
    rows = _minutes(scope, dialect)
    hour = truncated("hour", rows.c.minute, dialect).label("hour")
    hits, size = _sums(rows)
    return select(hour, hits, size).group_by(hour).having(hits != 0).order_by(hour)


def _busiest_hours(scope: Scope, dialect: str) -> AnySelect:
    hours = _bytes_by_hour(scope, dialect).subquery()
    return select(hours).order_by(hours.c.hits.desc(), hours.c.hour).limit(scope.limit)


def _rejected_by_reason(scope: Scope, _dialect: str) -> AnySelect:
    days = RejectedLine.stored_on.between(scope.since.date(), scope.until.date())
    query = select(RejectedLine.reason, func.count().label("lines")).where(days)
    if scope.source_id is not None:
        query = query.where(RejectedLine.source_id == scope.source_id)
    return (
        query.group_by(RejectedLine.reason)
        .order_by(func.count().desc(), RejectedLine.reason)
        .limit(scope.limit)
    )


def _lines_by_day(scope: Scope, dialect: str) -> AnySelect:
    # From the ledger: no line is read.
    day = func.date(Segment.stored_at) if dialect == "sqlite" else cast(Segment.stored_at, Date)
    kept = type_coerce(day, Date()).label("day")
    sums = [func.sum(column).label(name) for name, column in _LINES.items()]
    query = select(kept, Segment.source_id, *sums).where(
        Segment.stage == CLEAN, Segment.stored_at >= scope.since, Segment.stored_at < scope.until
    )
    if scope.source_id is not None:
        query = query.where(Segment.source_id == scope.source_id)
    return query.group_by(kept, Segment.source_id).order_by(kept, Segment.source_id)


_LINES = {"lines": Segment.line_count, "records": Segment.record_count, "rejected": Segment.rejected_count}

#: Every question by its name.
QUERIES: dict[str, Statement] = {
    "status_classes_by_minute": _status_classes("minute"),
    "status_classes_by_hour": _status_classes("hour"),
    "bytes_by_hour": _bytes_by_hour,
    "busiest_hours": _busiest_hours,
    "errors_by_path": _errors_by_path,
    "top_paths": _top("path", "path"),
    "top_agents": _top("agent", "user_agent"),
    "top_addresses": _top("address", "ip"),
    "rejected_by_reason": _rejected_by_reason,
    "lines_by_day": _lines_by_day,
}
