"""How long requests took: the histograms of hours and minutes, and their quantiles over time."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate

from sqlalchemy import Connection, Subquery, case, func, select

from db import minutes
from db.counted import AnySelect, Scope, counted, lacking, whole, within
from db.durations import NUMBERS, PARTS, bucket, microseconds, middle, middle_of
from db.minutes import Histogram, TrafficLatencyMinute
from db.models import CleanRecord
from db.traffic import TrafficLatency, hosts, total, truncated

#: The quantiles that are told, by their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)


def of_records(unit: str, part: str, dialect: str) -> AnySelect:
    """Return the query for unit of time, source_id, host, bucket and hits of the records with a duration."""
    took = microseconds(PARTS[part], dialect)
    keys = (
        truncated(unit, CleanRecord.timestamp, dialect).label(unit),
        CleanRecord.source_id,
        hosts().label("host"),
        bucket(took).label("bucket"),
    )
    return select(*keys, func.count().label("hits")).where(took.is_not(None)).group_by(*keys)


def quantiles(unit: str, part: str, scope: Scope, dialect: str) -> AnySelect:
    """Return the query for hour or day, hits with a duration, and the quantiles of those in seconds."""
    rows = _histograms(part, scope, dialect)
    moment, hits = truncated(unit, rows.c.hour, dialect).label(unit), func.sum(rows.c.hits).label("hits")
    buckets = select(moment, rows.c.bucket, hits).group_by(moment, rows.c.bucket).having(hits != 0).subquery()
    upto = func.sum(buckets.c.hits).over(partition_by=buckets.c[unit], order_by=buckets.c.bucket)
    of_all = func.sum(buckets.c.hits).over(partition_by=buckets.c[unit])
    ranked = select(buckets, upto.label("upto"), of_all.label("of_all")).subquery().c
    lowest = [
        func.min(case((ranked.upto >= share * ranked.of_all, ranked.bucket))).label(name)
        for name, share in QUANTILES.items()
    ]
    when = ranked[unit]
    found = select(when, total(ranked.hits).label("hits"), *lowest).group_by(when).subquery().c
    told = [middle(found[name]).label(name) for name in QUANTILES]
    return select(found[unit], found.hits, *told).order_by(found[unit])


def _histograms(part: str, scope: Scope, dialect: str) -> Subquery:
    """Return hour, bucket and hits."""

    def counts(first: datetime, last: datetime) -> AnySelect:
        own = TrafficLatency
        query = select(own.hour, own.source_id, own.host, own.bucket, own.hits).where(own.part == part)
        query = query.where(own.hour >= first, own.hour < last)
        return query if scope.source_id is None else query.where(own.source_id == scope.source_id)

    return counted(scope, _HOUR, counts, of_records("hour", part, dialect))


def by_minute(
    connection: Connection, part: str, scope: Scope
) -> list[tuple[datetime, int, *tuple[float, ...]]]:
    """Return minutes, hits with a duration, and the quantiles of those in seconds."""
    found: defaultdict[datetime, list[Histogram]] = defaultdict(list)
    for minute, histogram in _of_minutes(connection, part, scope):
        found[minute].append(histogram)
    summed = ((minute, minutes.added(found[minute])) for minute in sorted(found))
    return [(minute, sum(each.values()), *_quantiles(each)) for minute, each in summed if each]


def _of_minutes(connection: Connection, part: str, scope: Scope) -> Iterator[tuple[datetime, Histogram]]:
    """Yield histograms of minutes, several of one, from the counts and of the records that they lack."""
    records = of_records("minute", part, connection.dialect.name)
    before, scope = minutes.halves(connection, scope)
    for lacks in (within(before, records), *lacking(scope, _MINUTE, records)):
        for minute, _, _, lower, hits in connection.execute(lacks):
            yield minute, {NUMBERS[lower]: hits}
    own, (first, last) = TrafficLatencyMinute, whole(scope, _MINUTE)
    query = select(own.minute, own.histogram).where(own.part == part, own.minute >= first, own.minute < last)
    if scope.source_id is not None:
        query = query.where(own.source_id == scope.source_id)
    for minute, packed in connection.execute(query):
        yield minute, minutes.unpacked(packed)


def _quantiles(histogram: Histogram) -> Iterator[float]:
    numbers = sorted(histogram)
    upto = list(accumulate(histogram[number] for number in numbers))
    for share in QUANTILES.values():
        yield middle_of(numbers[bisect_left(upto, share * upto[-1])])
