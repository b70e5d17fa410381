"""How long requests took: the histograms of hours, and their quantiles over time."""

from datetime import datetime, timedelta

from sqlalchemy import Subquery, case, func, select

from db.counted import AnySelect, Scope, counted, within
from db.durations import PARTS, bucket, microseconds, middle
from db.models import CleanRecord
from db.traffic import TrafficLatency, hosts, total, truncated

#: The quantiles that are told, by their names.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_HOUR = timedelta(hours=1)


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
    """Return the query for unit of time, hits with a duration, and the quantiles of those in seconds."""
    rows = _histograms(unit, part, scope, dialect)
    moment = rows.c[unit] if unit == "minute" else truncated(unit, rows.c.hour, dialect)
    moment, hits = moment.label(unit), func.sum(rows.c.hits).label("hits")
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


def _histograms(unit: str, part: str, scope: Scope, dialect: str) -> Subquery:
    """Return unit of time, bucket and hits; of minutes, which are not counted, from the records."""
    if unit == "minute":
        return within(scope, of_records("minute", part, dialect)).subquery()

    def counts(first: datetime, last: datetime) -> AnySelect:
        own = TrafficLatency
        query = select(own.hour, own.source_id, own.host, own.bucket, own.hits).where(own.part == part)
        query = query.where(own.hour >= first, own.hour < last)
        return query if scope.source_id is None else query.where(own.source_id == scope.source_id)

    return counted(scope, _HOUR, counts, of_records("hour", part, dialect))
