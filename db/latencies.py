"""How long requests took: the histograms of hours and minutes, and their quantiles over time."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, Subquery, case, func, select

from db import minutes
from db.counted import AnySelect, Scope, counted, lacking, whole, within
from db.durations import NUMBERS, PARTS, bucket, microseconds, middle, middle_of
from db.minutes import Histogram, TrafficLatencyMinute
from db.traffic import TrafficLatency, keys, total, truncated

#: The quantiles that are told, by their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
#: What an hour is counted by.
HOUR_KEYS = ("hour", "source_id", "host")
_HOUR, _MINUTE = timedelta(hours=1), timedelta(minutes=1)


def of_records(names: Sequence[str], part: str, dialect: str) -> AnySelect:
    """Return the query for keys (traffic.py), bucket and hits of the records with a duration."""
    took = microseconds(PARTS[part], dialect)
    columns = (*keys(names, dialect), bucket(took).label("bucket"))
    return select(*columns, func.count().label("hits")).where(took.is_not(None)).group_by(*columns)


def quantiles(name: str, part: str, scope: Scope, dialect: str) -> AnySelect:
    """Return the query for hour, day or host, hits with a duration, and the quantiles of those in seconds."""
    rows = _histograms(part, scope, dialect)
    key = rows.c.host if name == "host" else truncated(name, rows.c.hour, dialect).label(name)
    hits = func.sum(rows.c.hits).label("hits")
    buckets = select(key, rows.c.bucket, hits).group_by(key, rows.c.bucket).having(hits != 0).subquery()
    upto = func.sum(buckets.c.hits).over(partition_by=buckets.c[name], order_by=buckets.c.bucket)
    of_all = func.sum(buckets.c.hits).over(partition_by=buckets.c[name])
    ranked = select(buckets, upto.label("upto"), of_all.label("of_all")).subquery().c
    lowest = [
        func.min(case((ranked.upto >= share * ranked.of_all, ranked.bucket))).label(quantile)
        for quantile, share in QUANTILES.items()
    ]
    own = ranked[name]
    found = select(own, total(ranked.hits).label("hits"), *lowest).group_by(own).subquery().c
    told = [middle(found[quantile]).label(quantile) for quantile in QUANTILES]
    return select(found[name], found.hits, *told).order_by(found[name])


def _histograms(part: str, scope: Scope, dialect: str) -> Subquery:
    """Return hour, bucket and hits."""

    def counts(first: datetime, last: datetime) -> AnySelect:
        own = TrafficLatency
        query = select(own.hour, own.source_id, own.host, own.bucket, own.hits).where(own.part == part)
        query = query.where(own.hour >= first, own.hour < last)
        return query if scope.source_id is None else query.where(own.source_id == scope.source_id)

    return counted(scope, _HOUR, counts, of_records(HOUR_KEYS, part, dialect))


def of_minutes(
    connection: Connection, names: Sequence[str], part: str, scope: Scope
) -> list[tuple[Any, ...]]:
    """Return some of `minutes.KEYS`, hits with a duration, and the quantiles of those in seconds."""
    found: defaultdict[tuple[Any, ...], list[Histogram]] = defaultdict(list)
    for key, histogram in _of_minutes(connection, names, part, scope):
        found[key].append(histogram)
    summed = ((key, minutes.added(each)) for key, each in found.items())
    return [(*key, sum(each.values()), *_quantiles(each)) for key, each in summed if each]


def _of_minutes(
    connection: Connection, names: Sequence[str], part: str, scope: Scope
) -> Iterator[tuple[tuple[Any, ...], Histogram]]:
    """Yield histograms of keys, several of one, from the counts and of the records that they lack."""
    records = of_records(names, part, connection.dialect.name)
    before, scope = minutes.halves(connection, scope)
    for lacks in (within(before, records), *lacking(scope, _MINUTE, records)):
        for *key, lower, hits in connection.execute(lacks):
            yield tuple(key), {NUMBERS[lower]: hits}
    own = TrafficLatencyMinute
    query = minutes.stored(own, (*names, "histogram"), *whole(scope, _MINUTE), scope.source_id)
    for *key, packed in connection.execute(query.where(own.part == part)):
        yield tuple(key), minutes.unpacked(packed)


def _quantiles(histogram: Histogram) -> Iterator[float]:
    numbers = sorted(histogram)
    upto = list(accumulate(histogram[number] for number in numbers))
    for share in QUANTILES.values():
        yield middle_of(numbers[bisect_left(upto, share * upto[-1])])
