"""What records add to the counts, counted by SQL: for segments without a tally, and to take records away."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, cast, func, insert, literal, null, select, text, union_all

from db import latencies, minutes
from db.durations import NUMBERS, PARTS, duration_sums
from db.models import CleanRecord
from db.traffic import (
    ERROR,
    FIRST_ERROR,
    Condition,
    TrafficDay,
    TrafficLatency,
    TrafficMinute,
    as_text,
    day_of,
    hosts,
    kinds,
    size_sum,
    truncated,
)
from db.visitors import mark

#: The planner expects a handful of records, and would sort many on disk: half of the time of counting them.
_PREFER_HASHES = text("""
    SELECT set_config('enable_sort', 'off', TRUE), set_config('work_mem', '64MB', TRUE)
""")


def prefer_hashes(connection: Connection) -> None:
    """Let this transaction group rows in memory, not by sorting them."""
    if connection.dialect.name == "postgresql":
        connection.execute(_PREFER_HASHES)


def add(connection: Connection, condition: Condition, sign: int) -> None:
    """Add the counts of some records, or with the sign -1 take them away; mark their hours for visitors."""
    prefer_hashes(connection)
    _add_minutes(connection, condition, sign)
    for kind, value in kinds().items():
        if kind == "path":
            _add_paths(connection, condition, sign)
        elif kind != ERROR:
            _add_days(connection, kind, value, condition, sign)
    for part in PARTS:
        _add_latencies(connection, part, condition, sign)
    mark(connection, condition)


def _add_minutes(connection: Connection, condition: Condition, sign: int) -> None:
    minute = truncated("minute", CleanRecord.timestamp, connection.dialect.name)
    keys = (minute, CleanRecord.source_id, CleanRecord.status, CleanRecord.rest_method, hosts())
    query = select(*keys, sign * func.count(), sign * size_sum()).where(condition)
    names = ["minute", "source_id", "status", "rest_method", "host", "hits", "bytes"]
    connection.execute(insert(TrafficMinute).from_select(names, query.group_by(*keys)))


def _add_days(connection: Connection, kind: str, value: Any, condition: Condition, sign: int) -> None:
    dialect = connection.dialect.name
    # Grouped by what is cheap to make of a record, and made into what is stored once for each group.
    day = truncated("day", CleanRecord.timestamp, dialect).label("day")
    keys = [day, CleanRecord.source_id, value.label("value")]
    sums = [func.count().label("hits"), size_sum().label("bytes")]
    query = select(*keys, *sums).where(condition, value.is_not(None)).group_by(*keys)
    rows = query.subquery().c
    names = ["kind", "day", "source_id", "value", "hits", "bytes"]
    stored = [day_of(rows.day, dialect), rows.source_id, as_text(kind, rows.value, dialect)]
    changes = [sign * rows.hits, sign * rows.bytes]
    connection.execute(insert(TrafficDay).from_select(names, select(literal(kind), *stored, *changes)))


def _add_paths(connection: Connection, condition: Condition, sign: int) -> None:
    """Add paths and errors, which are made of the same groups: records are read once."""
    dialect, own = connection.dialect.name, CleanRecord
    keys = [truncated("day", own.timestamp, dialect).label("day"), own.source_id, own.path, own.status]
    measures = [func.count().label("hits"), size_sum().label("bytes"), *duration_sums(dialect)]
    query = select(*keys, *measures).where(condition, own.path.is_not(None)).group_by(*keys)
    found = query.cte("found")
    rows = found.c
    key = (rows.day, rows.source_id, rows.path)
    stored = (day_of(rows.day, dialect), rows.source_id, rows.path)
    added = [sign * cast(func.sum(rows[name]), BigInteger) for name in TrafficDay.MEASURES]
    paths = select(literal("path"), *stored, null(), *added).group_by(*key)
    counts = (sign * rows.hits, sign * rows.bytes, null(), null())
    errors = select(literal(ERROR), *stored, rows.status, *counts).where(rows.status >= FIRST_ERROR)
    names = ["kind", "day", "source_id", "value", "status", *TrafficDay.MEASURES]
    connection.execute(insert(TrafficDay).from_select(names, union_all(paths, errors)))


def _add_latencies(connection: Connection, part: str, condition: Condition, sign: int) -> None:
    query = latencies.of_records(latencies.HOUR_KEYS, part, connection.dialect.name)
    rows = query.where(condition).subquery().c
    names = ["part", "hour", "source_id", "host", "bucket", "hits"]
    changes = (literal(part), rows.hour, rows.source_id, rows.host, rows.bucket, sign * rows.hits)
    added = connection.execute(insert(TrafficLatency).from_select(names, select(*changes)))
    if added.rowcount:
        _add_latency_minutes(connection, part, condition, sign)


def _add_latency_minutes(connection: Connection, part: str, condition: Condition, sign: int) -> None:
    recent = CleanRecord.timestamp >= minutes.stored_since(datetime.now(UTC))
    query = latencies.of_records(minutes.KEYS, part, connection.dialect.name).where(condition, recent)
    found: defaultdict[minutes.LatencyKey, minutes.Histogram] = defaultdict(dict)
    for *key, bucket, hits in connection.execute(query):
        found[part, tuple(key)][NUMBERS[bucket]] = sign * hits
    minutes.keep_latencies(connection, found)
