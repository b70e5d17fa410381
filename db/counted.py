"""What is counted of a range of time: from the counts, and from the records for what they lack."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import CTE, BigInteger, Select, Subquery, cast, exists, func, or_, select, union_all

from db.durations import duration_sums
from db.ledger import CLEAN
from db.models import CleanRecord, Segment
from db.traffic import (
    ERROR,
    FIRST_ERROR,
    UNSPLIT,
    Condition,
    TrafficDay,
    TrafficMinute,
    as_text,
    day_of,
    kinds,
    size_sum,
    total,
    truncated,
)

AnySelect = Select[*tuple[Any, ...]]
_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
#: The columns that are sums.
_MEASURES = frozenset(TrafficDay.MEASURES)


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


def counted(
    scope: Scope, step: timedelta, counts: Callable[[datetime, datetime], AnySelect], records: AnySelect
) -> Subquery:
    """Return the rows of `counts` for whole steps, and of `records` for what they lack or have too much.

    The range is rounded to the nearest steps: of a step that lies in the range by more than its half the
    records of the smaller part are taken away again. Where that would read more of them than the range
    has, its own are read. `records` groups, so its rows are as many as keys.
    """
    first, last = _nearest(scope.since, step), _nearest(scope.until, step)
    beside = abs(scope.since - first) + abs(scope.until - last)
    if first >= last or scope.until - scope.since <= beside:
        # An hour around noon would read the rest of its day.
        return within(scope, records).subquery()
    own = _of_source(scope, records)
    lacks = _edges(own, (scope.since, first), (last, scope.until))
    exceeds = [_taken(part) for part in _edges(own, (first, scope.since), (scope.until, last))]
    return union_all(counts(first, last), *lacks, *exceeds, _fresh(own, first, last)).subquery()


def whole(scope: Scope, step: timedelta) -> tuple[datetime, datetime]:
    """Return where the first step that lies in the range begins, and where the last one ends."""
    return _floor(scope.since + step - _INSTANT, step), _floor(scope.until, step)


def lacking(scope: Scope, step: timedelta, records: AnySelect) -> list[AnySelect]:
    """Return the queries for the records of a range that counts by whole steps lack.

    They lack what lies before the first step and after the last one, and the segments not counted yet.
    """
    first, last = whole(scope, step)
    if first >= last:
        return [within(scope, records)]
    own = _of_source(scope, records)
    return [*_edges(own, (scope.since, first), (last, scope.until)), _fresh(own, first, last)]


def _of_source(scope: Scope, records: AnySelect) -> AnySelect:
    return records if scope.source_id is None else records.where(CleanRecord.source_id == scope.source_id)


def _edges(records: AnySelect, *ranges: tuple[datetime, datetime]) -> list[AnySelect]:
    """Return the query for the records of those ranges that are not empty, as a list of one or none."""
    timed = [_timed(*each) for each in ranges if each[0] < each[1]]
    return [records.where(or_(*timed))] if timed else []


def _taken(records: AnySelect) -> AnySelect:
    """Return the query for what takes the rows of another one away: its sums, negative."""
    rows = records.subquery().c
    return select(*(-column if column.name in _MEASURES else column for column in rows))


def _fresh(records: AnySelect, first: datetime, last: datetime) -> AnySelect:
    """Return the query for the records of a range whose segments are not counted yet."""
    uncounted = _uncounted()
    place = uncounted.c
    inside = (CleanRecord.line_start >= place.start_offset) & (CleanRecord.line_start < place.end_offset)
    same = CleanRecord.source_id == place.source_id
    # Where there is none, which is the rule, no record is looked at.
    any_ = exists().select_from(uncounted)
    return records.join(uncounted, same & inside).where(any_, _timed(first, last))


def _uncounted() -> CTE:
    """Return the places of the segments not counted yet."""
    query = select(Segment.source_id, Segment.start_offset, Segment.end_offset)
    query = query.where(Segment.stage == CLEAN, ~Segment.is_counted)
    # Looked up once. Joined to the table a planner who does not know that there are next to none went through
    # all segments for each record of an hour: 43 s.
    return query.cte("uncounted").prefix_with("MATERIALIZED", dialect="postgresql")


def within(scope: Scope, records: AnySelect) -> AnySelect:
    """Return the query for the records of a range."""
    return _of_source(scope, records.where(_timed(scope.since, scope.until)))


def _floor(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - _ORIGIN) % step


def _nearest(moment: datetime, step: timedelta) -> datetime:
    # After the last moment that there is no step ends.
    return _floor(min(moment, _LAST - step / 2) + step / 2, step)


def _timed(since: datetime, until: datetime) -> Condition:
    return (CleanRecord.timestamp >= since) & (CleanRecord.timestamp < until)


def minutes(scope: Scope, dialect: str) -> Subquery:
    """Return minute, source_id, status, hits and bytes; a key may come in several rows."""

    def counts(first: datetime, last: datetime) -> AnySelect:
        own = TrafficMinute
        query = select(own.minute, own.source_id, own.status, own.hits, own.bytes)
        query = query.where(own.minute >= first, own.minute < last)
        return query if scope.source_id is None else query.where(own.source_id == scope.source_id)

    minute = truncated("minute", CleanRecord.timestamp, dialect).label("minute")
    keys = (minute, CleanRecord.source_id, CleanRecord.status)
    records = select(*keys, func.count().label("hits"), size_sum().label("bytes"))
    return counted(scope, timedelta(minutes=1), counts, records.select_from(CleanRecord).group_by(*keys))


#: What rows of a kind have beside hits and bytes.
_FURTHER = {"path": ("timed", "microseconds"), ERROR: ("status",)}


def values(kind: str, scope: Scope, dialect: str) -> Subquery:
    """Return day, value, hits and bytes of a kind of traffic_days, and what else goes with it.

    A key may come in several rows.
    """
    own = TrafficDay
    names = ["hits", "bytes", *_FURTHER.get(kind, ())]

    def counts(first: datetime, last: datetime) -> AnySelect:
        query = select(own.day, own.value, *(own.__table__.c[name] for name in names))
        query = query.where(own.day >= first.date(), own.day < last.date())
        if scope.source_id is not None:
            query = query.where(own.source_id == scope.source_id)
        found = query.where(own.kind == kind)
        if kind != ERROR:
            return found
        # Next to none, and found by an index of their own.
        return select(union_all(found, query.where(UNSPLIT, own.status >= FIRST_ERROR)).subquery())

    value = kinds()[kind]
    keys = [day_of(CleanRecord.timestamp, dialect).label("day"), value]
    found = [keys[0], as_text(kind, value, dialect).label("value"), func.count().label("hits")]
    found.append(size_sum().label("bytes"))
    records = select().where(value.is_not(None))
    if kind == ERROR:
        keys.append(CleanRecord.status)
        found.append(CleanRecord.status)
        records = records.where(CleanRecord.status >= FIRST_ERROR)
    elif kind == "path":
        found += duration_sums(dialect)
    records = records.add_columns(*found).group_by(*keys)
    return counted(scope, timedelta(days=1), counts, records)


def sums(rows: Subquery) -> tuple[Any, Any]:
    """Return the sums of hits and bytes of some rows."""
    return cast(func.sum(rows.c.hits), BigInteger).label("hits"), total(rows.c.bytes).label("bytes")
