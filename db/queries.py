"""The named questions that reports ask: of a range of time, of one source or of all.

Times are those of the lines, in UTC, but for what has none: rejected lines and the ledger go by when they
were stored. Durations are in seconds. Quantiles stray by 1.6 % at most (durations.py), numbers of visitors by
1.6 % as a rule (sketches.py), all else is exact; but retention removes records and keeps their counts:
of those a range that is no whole days, or hours for durations (counted.py), may have too much or too little.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Date, Engine, Subquery, case, cast, func, select, text, type_coerce

from db import latencies, sketches, visitors
from db.counted import AnySelect, Scope, minutes, sums, values
from db.engine import reading
from db.ledger import CLEAN
from db.models import RejectedLine, Segment
from db.traffic import ERROR, status_class, total, truncated

#: Memory of one sort or hash table while a question is answered: tens of thousands of paths fit.
_WORK_MEMORY = "64MB"


@dataclass(frozen=True, slots=True)
class Answer:
    """The names of the columns, and the rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


#: Answers a question as part of a transaction.
Question = Callable[[Connection, Scope], Answer]
#: Makes the statement of a question for a dialect, "postgresql" or "sqlite".
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
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL work_mem = '{_WORK_MEMORY}'"))
    return QUERIES[name](connection, scope)


def _asked(statement: Statement) -> Question:
    def question(connection: Connection, scope: Scope) -> Answer:
        result = connection.execute(statement(scope, connection.dialect.name))
        return Answer(tuple(result.keys()), [tuple(row) for row in result])

    return question


def _top(kind: str, name: str) -> Statement:
    def statement(scope: Scope, dialect: str) -> AnySelect:
        rows = values(kind, scope, dialect)
        hits, size = sums(rows)
        query = select(rows.c.value.label(name), hits, size).group_by(rows.c.value)
        return query.having(hits != 0).order_by(hits.desc(), rows.c.value).limit(scope.limit)

    return statement


def _by_day(kind: str) -> Statement:
    def statement(scope: Scope, dialect: str) -> AnySelect:
        rows = values(kind, scope, dialect)
        hits, size = sums(rows)
        query = select(rows.c.day, rows.c.value.label(kind), hits, size).group_by(rows.c.day, rows.c.value)
        return query.having(hits != 0).order_by(rows.c.day, hits.desc(), rows.c.value)

    return statement


def _status_classes(unit: str) -> Statement:
    def statement(scope: Scope, dialect: str) -> AnySelect:
        rows = minutes(scope, dialect)
        moment = truncated(unit, rows.c.minute, dialect).label(unit)
        own = status_class(rows.c.status).label("status_class")
        hits, _ = sums(rows)
        query = select(moment, own, hits).group_by(moment, own).having(hits != 0)
        return query.order_by(moment, own)

    return statement


def _errors_by_path(scope: Scope, dialect: str) -> AnySelect:
    rows = values(ERROR, scope, dialect)
    hits, _ = sums(rows)
    query = select(rows.c.value.label("path"), rows.c.status, hits).group_by(rows.c.value, rows.c.status)
    return query.having(hits != 0).order_by(hits.desc(), rows.c.value, rows.c.status).limit(scope.limit)


def _slowest_paths(scope: Scope, dialect: str) -> AnySelect:
    rows = values("path", scope, dialect)
    timed, spent = total(rows.c.timed), total(rows.c.microseconds)
    mean = (spent / 1e6 / func.nullif(timed, 0)).label("mean_seconds")
    told = (rows.c.value.label("path"), timed.label("hits"), mean, (spent / 1e6).label("seconds"))
    query = select(*told).group_by(rows.c.value).having(timed > 0)
    return query.order_by(mean.desc(), rows.c.value).limit(scope.limit)


def _totals(scope: Scope, dialect: str) -> AnySelect:
    rows = minutes(scope, dialect)
    return select(*_overall(rows)).having(_overall(rows)[0] != 0)


def _totals_by_source(scope: Scope, dialect: str) -> AnySelect:
    rows = minutes(scope, dialect)
    told = _overall(rows)
    query = select(rows.c.source_id, *told).group_by(rows.c.source_id).having(told[0] != 0)
    return query.order_by(rows.c.source_id)


def _overall(rows: Subquery) -> tuple[Any, ...]:
    """Return hits, bytes, and hits with a status of 4xx and of 5xx."""
    classes = {"client_errors": 4, "server_errors": 5}
    errors = [
        total(case((status_class(rows.c.status) == number, rows.c.hits))).label(name)
        for name, number in classes.items()
    ]
    return (*sums(rows), *errors)


def _latency(unit: str, part: str) -> Statement:
    return lambda scope, dialect: latencies.quantiles(unit, part, scope, dialect)


def _latency_by_host(scope: Scope, dialect: str) -> AnySelect:
    hosts = latencies.quantiles("host", "duration", scope, dialect).order_by(None).subquery()
    return select(hosts).order_by(hosts.c.hits.desc(), hosts.c.host).limit(scope.limit)


def _latency_by(*names: str) -> Question:
    """Return the question for the durations of each of some keys of minutes (minutes.py)."""

    def question(connection: Connection, scope: Scope) -> Answer:
        found = latencies.of_minutes(connection, names, "duration", scope)
        return Answer((*names, "hits", *latencies.QUANTILES), _in_order(names, found, scope))

    return question


def _visitors(connection: Connection, scope: Scope) -> Answer:
    found = [each for part in visitors.of_range(connection, scope).values() for each in part]
    return Answer(("visitors",), [(sketches.estimate(sketches.merged(found)),)] if found else [])


def _visitors_by(*names: str) -> Question:
    """Return the question for the visitors of each of some keys of minutes, of all sources together."""

    def question(connection: Connection, scope: Scope) -> Answer:
        sketched = visitors.of_minutes(connection, names, scope)
        found = [(*key, sketches.estimate_packed(contents)) for key, contents in sketched.items()]
        return Answer((*names, "visitors"), _in_order(names, found, scope))

    return question


def _in_order(names: tuple[str, ...], rows: list[tuple[Any, ...]], scope: Scope) -> list[tuple[Any, ...]]:
    """Return rows of keys and measures in order of time, or without a time those with the most first."""
    count = len(names)
    rows = sorted(rows, key=lambda row: [(key is None, key) for key in row[:count]])
    return rows if "minute" in names else sorted(rows, key=lambda row: -row[count])[: scope.limit]


def _visitors_by_unit(unit: str) -> Question:
    """Return the question for the visitors of each hour or day, of all sources together."""

    def question(connection: Connection, scope: Scope) -> Answer:
        units: dict[Any, list[bytes]] = defaultdict(list)
        for (hour, _), found in visitors.of_range(connection, scope).items():
            units[hour.replace(hour=0) if unit == "day" else hour] += found
        rows = [(each, sketches.estimate(sketches.merged(units[each]))) for each in sorted(units)]
        return Answer((unit, "visitors"), rows)

    return question


def _traffic(unit: str) -> Statement:
    def statement(scope: Scope, dialect: str) -> AnySelect:
        rows = minutes(scope, dialect)
        moment = truncated(unit, rows.c.minute, dialect).label(unit)
        hits, size = sums(rows)
        return select(moment, hits, size).group_by(moment).having(hits != 0).order_by(moment)

    return statement


def _busiest_hours(scope: Scope, dialect: str) -> AnySelect:
    hours = _traffic("hour")(scope, dialect).subquery()
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

_STATEMENTS: dict[str, Statement] = {
    "status_classes_by_minute": _status_classes("minute"),
    "status_classes_by_hour": _status_classes("hour"),
    "status_classes_by_day": _status_classes("day"),
    "traffic_by_minute": _traffic("minute"),
    "bytes_by_hour": _traffic("hour"),
    "traffic_by_day": _traffic("day"),
    "busiest_hours": _busiest_hours,
    "totals": _totals,
    "totals_by_source": _totals_by_source,
    "errors_by_path": _errors_by_path,
    "top_paths": _top("path", "path"),
    "top_agents": _top("agent", "user_agent"),
    "top_addresses": _top("address", "ip"),
    "top_countries": _top("country", "country"),
    "top_browsers": _top("browser", "browser"),
    "countries_by_day": _by_day("country"),
    "latency_by_hour": _latency("hour", "duration"),
    "latency_by_day": _latency("day", "duration"),
    "latency_by_host": _latency_by_host,
    "upstream_latency_by_hour": _latency("hour", "upstream"),
    "upstream_latency_by_day": _latency("day", "upstream"),
    "slowest_paths": _slowest_paths,
    "rejected_by_reason": _rejected_by_reason,
    "lines_by_day": _lines_by_day,
}

#: Questions that minutes answer, of the days for which they are kept; of other days the records.
BY_MINUTES: dict[str, Question] = {
    "latency_by_minute": _latency_by("minute"),
    "latency_by_minute_and_host": _latency_by("minute", "host"),
    "latency_by_minute_and_status_class": _latency_by("minute", "status_class"),
    "latency_by_status_class_and_method": _latency_by("status_class", "rest_method"),
    "visitors_by_minute": _visitors_by("minute"),
    "visitors_by_minute_and_host": _visitors_by("minute", "host"),
    "visitors_by_host": _visitors_by("host"),
    "visitors_by_status_class": _visitors_by("status_class"),
    "visitors_by_method": _visitors_by("rest_method"),
}

#: Every question by its name.
QUERIES: dict[str, Question] = {
    **{name: _asked(statement) for name, statement in _STATEMENTS.items()},
    **BY_MINUTES,
    "visitors": _visitors,
    "visitors_by_hour": _visitors_by_unit("hour"),
    "visitors_by_day": _visitors_by_unit("day"),
}
