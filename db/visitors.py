"""Who came, by hour or minute and source: sketches of the visitors, made anew where records went.

A visitor is an address, without one the name of a client, without one a user. Sketches of one hour merge, so
several rows of it count nobody twice; nothing can be taken out of one. Who takes records away marks their
hours, and beat's next count reads those again, with their minutes; until then they may hold who is gone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from sqlalchemy import Connection, delete, func, insert, null, select, type_coerce
from sqlalchemy.types import LargeBinary

from db import minutes, sketches
from db.counted import AnySelect, Scope, lacking, whole, within
from db.minutes import Key, TrafficVisitorMinute
from db.models import CleanRecord
from db.traffic import Condition, TrafficVisitors, as_text, keys, truncated

#: An hour, and the number of a source.
Hour = tuple[datetime, int]
_HOUR_KEYS = ("hour", "source_id")
#: Hours of sources that are read again, or merged, in one go.
HOURS_AT_ONCE = 100
_HOUR, _MINUTE, _INSTANT = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)


def visitor(dialect: str) -> Any:
    """Return who made the request of a record, as an expression; NULL where the line does not say."""
    address = as_text("address", CleanRecord.ip, dialect)
    return func.coalesce(address, CleanRecord.client_host, CleanRecord.user_name)


def mark(connection: Connection, condition: Condition) -> None:
    """Mark the hours of some records: their visitors are to be read again."""
    hour = truncated("hour", CleanRecord.timestamp, connection.dialect.name)
    unread = type_coerce(null(), LargeBinary())
    query = select(hour, CleanRecord.source_id, unread).where(condition).group_by(hour, CleanRecord.source_id)
    connection.execute(insert(TrafficVisitors).from_select(["hour", "source_id", "sketch"], query))


def mark_hours(connection: Connection, hours: Iterable[Hour]) -> None:
    """Mark hours of sources, as `mark`."""
    rows = [{"hour": hour, "source_id": source_id, "sketch": None} for hour, source_id in hours]
    if rows:
        connection.execute(insert(TrafficVisitors), rows)


def keep(connection: Connection, found: Mapping[Hour, bytes]) -> None:
    """Add visitors of hours."""
    rows = [
        {"hour": hour, "source_id": source_id, "sketch": sketches.packed(registers)}
        for (hour, source_id), registers in found.items()
    ]
    if rows:
        connection.execute(insert(TrafficVisitors), rows)


def renew(connection: Connection) -> bool:
    """Read the visitors of some marked hours from the records; return whether there are more of them.

    One at a time does this, and it has the lock of who counts (counting.py).
    """
    marked = select(TrafficVisitors.hour, TrafficVisitors.source_id).where(TrafficVisitors.sketch.is_(None))
    hours: list[Hour] = [
        (row[0], row[1]) for row in connection.execute(marked.distinct().limit(HOURS_AT_ONCE))
    ]
    since = minutes.stored_since(datetime.now(UTC))
    for hour, source_id in hours:
        connection.execute(delete(TrafficVisitors).where(*_of(hour, source_id)))
        last = hour + (_HOUR - _INSTANT)
        own = (CleanRecord.source_id == source_id) & CleanRecord.timestamp.between(hour, last)
        if hour < since:
            keep(connection, read(connection, own))
            continue
        minute = TrafficVisitorMinute.minute.between(hour, last)
        connection.execute(
            delete(TrafficVisitorMinute).where(TrafficVisitorMinute.source_id == source_id, minute)
        )
        found = _placed(connection.execute(_of_records(minutes.KEYS, connection.dialect.name).where(own)))
        minutes.keep_visitors(connection, found)
        places = chain.from_iterable(each.items() for each in found.values())
        if found:
            keep(connection, {(hour, source_id): sketches.sketch(places)})
    return len(hours) == HOURS_AT_ONCE


def read(connection: Connection, condition: Condition) -> dict[Hour, bytes]:
    """Return the visitors of some records, by hour and source."""
    return _sketched(connection.execute(_of_records(_HOUR_KEYS, connection.dialect.name).where(condition)))


def of_range(connection: Connection, scope: Scope) -> dict[Hour, list[bytes]]:
    """Return the visitors of a range, by hour and source; some hours in several sketches."""
    found: dict[Hour, list[bytes]] = defaultdict(list)
    own, (first, last) = TrafficVisitors, whole(scope, _HOUR)
    query = select(own.hour, own.source_id, own.sketch).where(own.hour >= first, own.hour < last)
    if scope.source_id is not None:
        query = query.where(own.source_id == scope.source_id)
    for hour, source_id, sketch in connection.execute(query):
        if sketch is not None:
            found[hour, source_id].append(sketches.unpacked(sketch))
    for records in lacking(scope, _HOUR, _of_records(_HOUR_KEYS, connection.dialect.name)):
        for key, registers in _sketched(connection.execute(records)).items():
            found[key].append(registers)
    return found


def of_minutes(connection: Connection, names: Sequence[str], scope: Scope) -> dict[Key, list[bytes]]:
    """Return the visitors of a range by some of `minutes.KEYS`, in one packed sketch or several."""
    found: dict[Key, list[bytes]] = defaultdict(list)
    records = _of_records(names, connection.dialect.name)
    before, scope = minutes.halves(connection, scope)
    for lacks in (within(before, records), *lacking(scope, _MINUTE, records)):
        for key, places in _placed(connection.execute(lacks)).items():
            found[key].append(sketches.packed_places(places))
    range_ = whole(scope, _MINUTE)
    query = minutes.stored(TrafficVisitorMinute, (*names, "sketch"), *range_, scope.source_id)
    for *key, sketch in connection.execute(query):
        found[tuple(key)].append(sketch)
    return found


def _of_records(names: Sequence[str], dialect: str) -> AnySelect:
    """Return the query for keys (traffic.py) and visitors, each once."""
    who = visitor(dialect).label("visitor")
    return select(*keys(names, dialect), who).where(who.is_not(None)).distinct()


def _sketched(rows: Iterable[Any]) -> dict[Any, bytes]:
    return {key: sketches.sketch(found.items()) for key, found in _placed(rows).items()}


def _placed(rows: Iterable[Any]) -> dict[Any, sketches.Places]:
    places: dict[Any, sketches.Places] = defaultdict(dict)
    for *key, name in rows:
        register, run = sketches.place(name)
        known = places[tuple(key)]
        known[register] = max(known.get(register, 0), run)
    return places


def merge(connection: Connection, since: datetime, until: datetime) -> None:
    """Make several rows of one hour one, of the hours from one to another."""
    own = TrafficVisitors
    several = select(own.hour, own.source_id).where(own.hour.between(since, until))
    several = several.where(own.sketch.is_not(None))
    several = several.group_by(own.hour, own.source_id).having(func.count() > 1)
    for hour, source_id in connection.execute(several).all():
        place = (*_of(hour, source_id), own.sketch.is_not(None))
        found = [
            sketches.unpacked(each) for each in connection.scalars(select(own.sketch).where(*place)) if each
        ]
        connection.execute(delete(own).where(*place))
        keep(connection, {(hour, source_id): sketches.merged(found)})


def _of(hour: datetime, source_id: int) -> tuple[Condition, Condition]:
    return TrafficVisitors.hour == hour, TrafficVisitors.source_id == source_id
