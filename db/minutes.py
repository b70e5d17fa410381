"""Counts by the minute, of the last days: how long requests took, and who came.

    traffic_latency_minutes  a histogram (durations.py) for each key and part
    traffic_visitor_minutes  a sketch (sketches.py) for each key

A key is a minute, a source, a host, a class of statuses and a method, as in traffic_minutes (traffic.py).
Days that are older are in the counts of hours alone; of their minutes a question reads the records. Rows of
one key are added up, and a histogram takes records away by negative hits; a minute of visitors is made anew
with its hour (visitors.py).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, groupby
from typing import Any, ClassVar

import msgpack  # type: ignore[import-untyped]
from sqlalchemy import Connection, Index, SmallInteger, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from db import sketches
from db.bulk import insert_rows
from db.counted import AnySelect, Scope
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
#: What a minute is counted by, as `traffic.keys` names it.
KEYS = ("minute", "source_id", "host", "status_class", "rest_method")
#: Values of KEYS.
Key = tuple[Any, ...]
#: A part, and a key.
LatencyKey = tuple[str, Key]


class MinuteCounts(Base):
    """What both tables are counted by."""

    __abstract__ = True

    #: The column that holds what is counted; all others are the key.
    CONTENT: ClassVar[str]

    minute: Mapped[datetime]
    source_id: Mapped[int]
    #: The virtual host or, without one, the host of the URL.
    host: Mapped[str | None]
    #: 2 for 200 to 299; NULL without a status.
    status_class: Mapped[int | None] = mapped_column(SmallInteger)
    rest_method: Mapped[str | None]


class TrafficLatencyMinute(MinuteCounts):
    """Records of one minute (UTC) by how long they took; `part` is a key of `durations.PARTS`."""

    __tablename__ = "traffic_latency_minutes"
    __table_args__ = (Index(None, "part", "minute"),)
    CONTENT = "histogram"

    part: Mapped[str]
    #: What `packed` returns.
    histogram: Mapped[bytes]
    # The mapper needs a key to tell rows apart; the table has none.
    __mapper_args__ = {"primary_key": ["minute", "part", "source_id"]}  # noqa: RUF012 - SQLAlchemy's attribute


class TrafficVisitorMinute(MinuteCounts):
    """Who came in one minute (UTC)."""

    __tablename__ = "traffic_visitor_minutes"
    __table_args__ = (Index(None, "minute"),)
    CONTENT = "sketch"

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


def stored(
    model: type[MinuteCounts], names: Sequence[str], first: datetime, last: datetime, source_id: int | None
) -> AnySelect:
    """Return the query for what is stored of whole minutes, of one source or, with None, of all."""
    query = select(*(model.__table__.c[name] for name in names))
    query = query.where(model.minute >= first, model.minute < last)
    return query if source_id is None else query.where(model.source_id == source_id)


def keep_latencies(connection: Connection, found: Mapping[LatencyKey, Mapping[int, int]]) -> None:
    """Add histograms of minutes; those before `stored_since` are left out."""
    _keep(
        connection,
        TrafficLatencyMinute,
        ("part", *KEYS, "histogram"),
        ((part, *key, packed(histogram)) for (part, key), histogram in found.items() if histogram),
    )


def keep_visitors(connection: Connection, found: Mapping[Key, sketches.Places]) -> None:
    """Add visitors of minutes; those before `stored_since` are left out."""
    _keep(
        connection,
        TrafficVisitorMinute,
        (*KEYS, "sketch"),
        ((*key, sketches.packed_places(places)) for key, places in found.items()),
    )


def _keep(
    connection: Connection, model: type[MinuteCounts], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    since, at = stored_since(datetime.now(UTC)), names.index("minute")
    insert_rows(connection, model, names, (row for row in rows if row[at] >= since))


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
    # Every part there is, for the index.
    _merge(connection, latency, latency.part.in_(PARTS) & latency.minute.between(since, until), _added_up)
    _merge(connection, visitor, visitor.minute.between(since, until), _united)


def _merge(
    connection: Connection,
    model: type[MinuteCounts],
    condition: Condition,
    merged: Callable[[list[bytes]], bytes | None],
) -> None:
    """Write minutes in which a key has several rows anew, an hour at a time."""
    key = [column for column in model.__table__.columns if column.name != model.CONTENT]
    names, content = [column.name for column in key], model.__table__.c[model.CONTENT]
    several = select(model.minute).where(condition).group_by(*key).having(func.count() > 1)
    for _, hour in groupby(sorted(set(connection.scalars(several))), lambda minute: minute.replace(minute=0)):
        own = list(hour)
        # With their range, or the planner might go through the whole one for them.
        place = condition & model.minute.between(own[0], own[-1]) & model.minute.in_(own)
        found: defaultdict[tuple[Any, ...], list[bytes]] = defaultdict(list)
        for *values, each in connection.execute(delete(model).where(place).returning(*key, content)):
            found[tuple(values)].append(bytes(each))
        made = ((*each, told[0] if len(told) == 1 else merged(told)) for each, told in found.items())
        _keep(connection, model, [*names, model.CONTENT], (row for row in made if row[-1] is not None))


def _added_up(histograms: list[bytes]) -> bytes | None:
    total = added(map(unpacked, histograms))
    return packed(total) if total else None


def _united(contents: list[bytes]) -> bytes:
    return sketches.packed_places(sketches.places(sketches.unpacked(*contents)))
