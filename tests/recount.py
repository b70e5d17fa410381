"""An independent recount: what the tables of counts say of some sources, and what their records say."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select

from db import counting, minutes, sketches
from db.durations import LONGEST_SECONDS, LOWER_ENDS
from db.engine import reading
from db.ledger import CLEAN
from db.minutes import TrafficLatencyMinute, TrafficVisitorMinute
from db.models import CleanRecord, Segment
from db.traffic import LARGEST_SIZE, TrafficDay, TrafficLatency, TrafficMinute, TrafficVisitors

#: The column of each kind of value that is counted by day.
_VALUES = {"path": "path", "agent": "user_agent", "address": "ip", "country": "country", "browser": "browser"}


def differences(engine: Engine, source_ids: Sequence[int]) -> list[str]:
    """Count what is not counted; return in words where the counts differ from a recount of the records."""
    counting.count(engine)
    with reading(engine) as connection:
        uncounted = select(func.count()).where(Segment.stage == CLEAN, ~Segment.is_counted)
        left = connection.scalar(uncounted.where(Segment.source_id.in_(source_ids)))
        if left:
            return [f"counts: {left} segments are not counted"]
        since = minutes.answered_since(connection, datetime.now(UTC))
        told = _told(connection, source_ids) | _told_by_minute(connection, source_ids, since)
        made = _made(connection, source_ids, since)
    return [
        f"counts: {name} differ by {_apart(told[name], made[name])}"
        for name in made
        if told[name] != made[name]
    ]


def _apart(told: Counter[Any], made: Counter[Any]) -> str:
    keys = [key for key in told.keys() | made.keys() if told[key] != made[key]]
    return f"{len(keys)} keys, as {keys[0]}: {told[keys[0]]} and not {made[keys[0]]}"


def _told(connection: Connection, source_ids: Sequence[int]) -> dict[str, Counter[Any]]:
    """Return what the tables say: hits and bytes by key, and the visitors of each hour as a sketch."""
    minute, day, latency, own = TrafficMinute, TrafficDay, TrafficLatency, TrafficVisitors
    keys = {
        "minutes": (minute.minute, minute.source_id, minute.status, minute.rest_method, minute.host),
        "days": (day.day, day.source_id, day.kind, day.value, day.status),
        "latencies": (latency.hour, latency.source_id, latency.part, latency.host),
    }
    found = {name: _summed(connection, key, source_ids, name != "latencies") for name, key in keys.items()}
    rows = connection.execute(
        select(own.hour, own.source_id, own.sketch).where(own.source_id.in_(source_ids))
    )
    visitors: Counter[Any] = Counter()
    for hour, source_id, sketch in rows:
        for register, run in enumerate(sketches.unpacked(sketch)):
            visitors[hour, source_id, register] = max(visitors[hour, source_id, register], run)
    return found | {"visitors": +visitors}


def _told_by_minute(
    connection: Connection, source_ids: Sequence[int], since: datetime
) -> dict[str, Counter[Any]]:
    """Return what the tables of minutes say, from a minute on."""
    timed, own = TrafficLatencyMinute, TrafficVisitorMinute
    latencies: Counter[Any] = Counter()
    columns = (timed.minute, timed.source_id, timed.host, timed.status_class, timed.rest_method, timed.part)
    for *key, histogram in connection.execute(
        select(*columns, timed.histogram).where(timed.source_id.in_(source_ids), timed.minute >= since)
    ):
        for number, hits in minutes.unpacked(histogram).items():
            latencies[*key, LOWER_ENDS[number]] += hits
    visitors: Counter[Any] = Counter()
    columns = (own.minute, own.source_id, own.host, own.status_class, own.rest_method, own.sketch)
    for *key, sketch in connection.execute(
        select(*columns).where(own.source_id.in_(source_ids), own.minute >= since)
    ):
        for register, run in sketches.places(sketches.unpacked(sketch)).items():
            visitors[*key, register] = max(visitors[*key, register], run)
    kept = Counter({key: number for key, number in latencies.items() if number})
    return {"minutes of latencies": kept, "minutes of visitors": visitors}


def _summed(connection: Connection, key: Any, source_ids: Sequence[int], sized: bool) -> Counter[Any]:
    model = key[0].class_
    query: Select[Any] = select(*key, model.hits, model.bytes if sized else model.hits)
    sums: Counter[Any] = Counter()
    for *names, hits, size in connection.execute(query.where(model.source_id.in_(source_ids))):
        sums[*names, "hits"] += hits
        sums[*names, "bytes"] += size if sized else 0
    return Counter({key: number for key, number in sums.items() if number})


def _made(connection: Connection, source_ids: Sequence[int], since: datetime) -> dict[str, Counter[Any]]:
    """Return the same from the records, a row at a time."""
    names = ("minutes", "days", "latencies", "visitors", "minutes of latencies", "minutes of visitors")
    found: dict[str, Counter[Any]] = {name: Counter() for name in names}
    records = select(*CleanRecord.__table__.columns).where(CleanRecord.source_id.in_(source_ids))
    for row in connection.execute(records):
        minute = row.timestamp.replace(second=0, microsecond=0)
        hour, host = minute.replace(minute=0), row.server_name or row.host
        of_minute = (minute, row.source_id, host, _class(row.status), row.rest_method)
        _count(found["minutes"], (minute, row.source_id, row.status, row.rest_method, host), row.size_bytes)
        for kind, column in _VALUES.items():
            value = getattr(row, column)
            if value is not None:
                _count(found["days"], (minute.date(), row.source_id, kind, value, None), row.size_bytes)
        if row.path is not None and row.status is not None and row.status >= 400:
            key = minute.date(), row.source_id, "error", row.path, row.status
            _count(found["days"], key, row.size_bytes)
        for part in ("duration", "upstream"):
            took = getattr(row, f"{part}_seconds")
            if took is not None and 0 <= took <= LONGEST_SECONDS:
                found["latencies"][hour, row.source_id, part, host, "hits"] += 1
                if minute >= since:
                    found["minutes of latencies"][*of_minute, part, _lower_end(took)] += 1
        visitor = row.ip or row.client_host or row.user_name
        if visitor is not None:
            _came(found["visitors"], (hour, row.source_id), visitor)
            if minute >= since:
                _came(found["minutes of visitors"], of_minute, visitor)
    return found


def _class(status: int | None) -> int | None:
    """Return 2 for 200 to 299; of a negative status the class is negative, or 0."""
    return None if status is None else abs(status) // 100 * (-1 if status < 0 else 1)


def _lower_end(seconds: float) -> int:
    """Return the least microseconds that have the bucket of a duration: 32 for each power of two."""
    took = int(seconds * 1e6 + 0.5)
    return took - took % (1 << max(0, took.bit_length() - 6))


def _came(visitors: Counter[Any], key: tuple[Any, ...], visitor: str) -> None:
    register, run = sketches.place(visitor)
    visitors[*key, register] = max(visitors[*key, register], run)


def _count(counts: Counter[Any], key: tuple[Any, ...], size: int | None) -> None:
    counts[*key, "hits"] += 1
    if size is not None and 0 < size <= LARGEST_SIZE:
        counts[*key, "bytes"] += size
