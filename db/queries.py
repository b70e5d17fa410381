"""The named questions that reports ask: of a range of time, of one source or of all.

Times are those of the lines, in UTC, but for what has none: rejected lines and the ledger go by when they
were stored. A question reads the clean records of its range only: the block range index on `timestamp`
finds them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Date, Engine, Select, cast, func, select, text, type_coerce

from db.columns import Moment
from db.engine import reading
from db.ledger import CLEAN
from db.models import CleanRecord, RejectedLine, Segment

#: Least status of an error.
FIRST_ERROR = 400
#: Memory of one sort or hash table while a question is answered: tens of thousands of paths fit.
_WORK_MEMORY = "64MB"


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
Statement = Callable[[Scope, str], "Select[*tuple[Any, ...]]"]


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


def _records(scope: Scope, *columns: Any) -> "Select[*tuple[Any, ...]]":
    query = select(*columns).where(CleanRecord.timestamp >= scope.since, CleanRecord.timestamp < scope.until)
    return query if scope.source_id is None else query.where(CleanRecord.source_id == scope.source_id)


def _hits() -> Any:
    return func.count().label("hits")


def _bytes() -> Any:
    # A sum of bigint is numeric on PostgreSQL; no report needs more than a bigint holds.
    return func.coalesce(cast(func.sum(CleanRecord.size_bytes), CleanRecord.size_bytes.type), 0).label(
        "bytes"
    )


def _truncated(unit: str, dialect: str) -> Any:
    """Return the minute or hour of a record as an expression."""
    if dialect == "postgresql":
        # date_bin counts on from the origin: half the time of date_trunc, which looks at time zones.
        origin = text("timestamptz '2000-01-01 00:00:00+00'")
        return type_coerce(
            func.date_bin(text(f"interval '1 {unit}'"), CleanRecord.timestamp, origin), Moment()
        )
    length, rest = (16, ":00") if unit == "minute" else (13, ":00:00")
    return type_coerce(func.substr(CleanRecord.timestamp, 1, length).concat(rest), Moment())


def _top(column: Any) -> Statement:
    def statement(scope: Scope, _dialect: str) -> "Select[*tuple[Any, ...]]":
        ranked = _records(scope, column, _hits(), _bytes()).where(column.is_not(None)).group_by(column)
        return ranked.order_by(func.count().desc(), column).limit(scope.limit)

    return statement


def _status_classes(unit: str) -> Statement:
    def statement(scope: Scope, dialect: str) -> "Select[*tuple[Any, ...]]":
        moment = _truncated(unit, dialect).label(unit)
        status_class = (CleanRecord.status // 100).label("status_class")
        return (
            _records(scope, moment, status_class, _hits())
            .group_by(moment, status_class)
            .order_by(moment, status_class)
        )

    return statement


def _errors_by_path(scope: Scope, _dialect: str) -> "Select[*tuple[Any, ...]]":
    path, status = CleanRecord.path, CleanRecord.status
    errors = _records(scope, path, status, _hits()).where(status >= FIRST_ERROR).group_by(path, status)
    return errors.order_by(func.count().desc(), path, status).limit(scope.limit)


def _bytes_by_hour(scope: Scope, dialect: str) -> "Select[*tuple[Any, ...]]":
    hour = _truncated("hour", dialect).label("hour")
    return _records(scope, hour, _hits(), _bytes()).group_by(hour).order_by(hour)


def _busiest_hours(scope: Scope, dialect: str) -> "Select[*tuple[Any, ...]]":
    return (
        _bytes_by_hour(scope, dialect).order_by(None).order_by(func.count().desc(), "hour").limit(scope.limit)
    )


def _rejected_by_reason(scope: Scope, _dialect: str) -> "Select[*tuple[Any, ...]]":
    days = RejectedLine.stored_on.between(scope.since.date(), scope.until.date())
    query = select(RejectedLine.reason, func.count().label("lines")).where(days)
    if scope.source_id is not None:
        query = query.where(RejectedLine.source_id == scope.source_id)
    return (
        query.group_by(RejectedLine.reason)
        .order_by(func.count().desc(), RejectedLine.reason)
        .limit(scope.limit)
    )


def _lines_by_day(scope: Scope, dialect: str) -> "Select[*tuple[Any, ...]]":
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
    "top_paths": _top(CleanRecord.path),
    "top_agents": _top(CleanRecord.user_agent),
    "top_addresses": _top(CleanRecord.ip),
    "rejected_by_reason": _rejected_by_reason,
    "lines_by_day": _lines_by_day,
}
