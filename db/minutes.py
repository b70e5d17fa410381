"""Counts by the minute, of the last days: how long requests took, and who came.

    traffic_latency_minutes  a histogram (durations.py) for each minute, source, host and part
    traffic_visitor_minutes  a sketch (sketches.py) for each minute and source

Days that are older are in the counts of hours alone; of their minutes a question reads the records. Rows of
one key are added up, and a histogram takes records away by negative hits; a minute of visitors is made anew
with its hour (visitors.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import msgpack  # type: ignore[import-untyped]
from sqlalchemy import Connection, Index, delete, func, insert, select
from sqlalchemy.orm import Mapped

from db import sketches
from db.counted import Scope
from db.durations import PARTS
from db.models import Base
from db.traffic import Condition

#: Whole days before today (UTC) whose minutes are asked for here.
KEPT = timedelta(days=7)
#: They are kept a day longer: whoever writes or asks may have begun before midnight.
_MARGIN = timedelta(days=1)
#: In the place of a part: minutes before this row's were counted by a version that did not know of them.
UNKNOWN = "unknown"

#: Hits by the number of a bucket.
Histogram = dict[int, int]
#: A minute, a source, a part, a host.
LatencyKey = tuple[datetime, int, str, str | None]
#: A minute, a source.
VisitorKey = tuple[datetime, int]


class TrafficLatencyMinute(Base):
    """Records of one minute (UTC) and host by how long they took; `part` is a key of `durations.PARTS`."""

    __tablename__ = "traffic_latency_minutes"
    __table_args__ = (Index(None, "part", "minute"),)

    minute: Mapped[datetime]
    source_id: Mapped[int]
    part: Mapped[str]
    host: Mapped[str | None]
    #: What `packed` returns.
    histogram: Mapped[bytes]
    # The mapper needs a key to tell rows apart; the table has none.
    __mapper_args__ = {"primary_key": ["minute", "part", "source_id"]}  # noqa: RUF012 - SQLAlchemy's attribute


class TrafficVisitorMinute(Base):
    """Who came to a source in one minute (UTC)."""

    __tablename__ = "traffic_visitor_minutes"
    __table_args__ = (Index(None, "minute"),)

    minute: Mapped[datetime]
    source_id: Mapped[int]
    #: What sketches.py packs.
    sketch: Mapped[bytes]
    __mapper_args__ = {"primary_key": ["minute", "source_id"]}  # noqa: RUF012 - as above


def packed(histogram: Mapping[int, int]) -> bytes:
    """Return a histogram as it is stored: two or three bytes a bucket."""
    numbers = sorted(histogram)
    steps = [number - before for before, number in zip([0, *numbers], numbers, strict=False)]
    content: bytes = msgpack.packb([steps, [histogram[number] for number in numbers]])
    return content


def unpacked(content: bytes) -> Histogram:
    """Return the histogram that was packed."""
    steps, hits = msgpack.unpackb(content)
    return dict(zip(accumulate(steps), hits, strict=True))


def added(histograms: Iterable[Mapping[int, int]]) -> Histogram:
    """Return the sum of histograms, without the buckets that nothing is left of."""
    total: defaultdict[int, int] = defaultdict(int)
    for each in histograms:
        for number, hits in each.items():
            total[number] += hits
    return {number: hits for number, hits in total.items() if hits}


def stored_since(now: datetime) -> datetime:
    """Return the first minute that is stored."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - KEPT - _MARGIN


def answered_since(connection: Connection, now: datetime) -> datetime:
    """Return the first minute about which these tables can be asked."""
    unknown = select(func.max(TrafficLatencyMinute.minute)).where(TrafficLatencyMinute.part == UNKNOWN)
    begun = connection.execute(unknown).scalar()
    return max(filter(None, (stored_since(now) + _MARGIN, begun)))


def halves(connection: Connection, scope: Scope) -> tuple[Scope, Scope]:
    """Return the part of a range of which the records are to be read, and the rest; one may be empty."""
    since = min(max(answered_since(connection, datetime.now(UTC)), scope.since), scope.until)
    return replace(scope, until=since), replace(scope, since=since)


def keep_latencies(connection: Connection, found: Mapping[LatencyKey, Mapping[int, int]]) -> None:
    """Add histograms of minutes; those before `stored_since` are left out."""
    since = stored_since(datetime.now(UTC))
    names = ("minute", "source_id", "part", "host")
    rows = [
        dict(zip(names, key, strict=True), histogram=packed(histogram))
        for key, histogram in found.items()
        if key[0] >= since and histogram
    ]
    if rows:
        connection.execute(insert(TrafficLatencyMinute), rows)


def keep_visitors(connection: Connection, found: Mapping[VisitorKey, sketches.Places]) -> None:
    """Add visitors of minutes; those before `stored_since` are left out."""
    since = stored_since(datetime.now(UTC))
    rows = [
        {"minute": minute, "source_id": source_id, "sketch": sketches.packed_places(places)}
        for (minute, source_id), places in found.items()
        if minute >= since
    ]
    if rows:
        connection.execute(insert(TrafficVisitorMinute), rows)


def forget(connection: Connection, now: datetime) -> None:
    """Delete the minutes of days that are in the counts of hours alone."""
    since, latency, visitor = stored_since(now), TrafficLatencyMinute, TrafficVisitorMinute
    # Every part there is, or the index by part and minute would not serve.
    parts = latency.part.in_((*PARTS, UNKNOWN))
    connection.execute(delete(latency).where(parts, latency.minute < since))
    connection.execute(delete(visitor).where(visitor.minute < since))


def merge(connection: Connection, since: datetime, until: datetime) -> None:
    """Make several rows of one key one, of the minutes of a range."""
    latency, visitor = TrafficLatencyMinute, TrafficVisitorMinute
    own = (latency.minute >= since) & (latency.minute <= until) & (latency.part != UNKNOWN)
    key: tuple[Any, ...] = (latency.minute, latency.source_id, latency.part, latency.host)
    found = _taken(connection, key, latency.histogram, own)
    keep_latencies(connection, {each: added(map(unpacked, found[each])) for each in found})
    own = (visitor.minute >= since) & (visitor.minute <= until)
    found = _taken(connection, (visitor.minute, visitor.source_id), visitor.sketch, own)
    merged = {each: sketches.merged([sketches.unpacked(part) for part in found[each]]) for each in found}
    keep_visitors(connection, {each: sketches.places(merged[each]) for each in merged})


def _taken(
    connection: Connection, key: Sequence[Any], content: Any, condition: Condition
) -> dict[Any, list[bytes]]:
    """Delete the rows of keys that have several; return what each of these rows held, by the key."""
    several = select(*key).where(condition).group_by(*key).having(func.count() > 1)
    found = {}
    for row in connection.execute(several).all():
        # Not IS NOT DISTINCT FROM: PostgreSQL looks that up in no index, and read the table for each key.
        own = (
            column.is_(None) if value is None else column == value
            for column, value in zip(key, row, strict=True)
        )
        gone = connection.scalars(delete(content.class_).where(*own).returning(content))
        found[tuple(row)] = [bytes(each) for each in gone]
    return found
