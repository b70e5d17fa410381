"""Who came, by hour and source: sketches of the visitors of each hour, made anew where records went.

A visitor is an address, without one the name of a client, without one a user. Sketches of one hour merge, so
several rows of it count nobody twice; nothing can be taken out of one. Who takes records away marks their
hours, and beat's next count reads those hours again; until then they may hold who is gone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, null, select, type_coerce
from sqlalchemy.types import LargeBinary

from db import sketches
from db.counted import AnySelect, Scope, lacking, whole
from db.models import CleanRecord
from db.traffic import Condition, TrafficVisitors, as_text, truncated

#: An hour and the number of a source.
Hour = tuple[datetime, int]
#: Hours of sources that are read again, or merged, in one go.
HOURS_AT_ONCE = 100
_HOUR, _INSTANT = timedelta(hours=1), timedelta(microseconds=1)


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
    for hour, source_id in hours:
        connection.execute(delete(TrafficVisitors).where(*_of(TrafficVisitors, hour, source_id)))
        own = CleanRecord.timestamp.between(hour, hour + (_HOUR - _INSTANT))
        keep(connection, read(connection, (CleanRecord.source_id == source_id) & own))
    return len(hours) == HOURS_AT_ONCE


def read(connection: Connection, condition: Condition) -> dict[Hour, bytes]:
    """Return the visitors of some records, by hour and source."""
    return _sketched(connection.execute(_of_records(connection.dialect.name).where(condition)))


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
    for records in lacking(scope, _HOUR, _of_records(connection.dialect.name)):
        for key, registers in _sketched(connection.execute(records)).items():
            found[key].append(registers)
    return found


def _of_records(dialect: str) -> AnySelect:
    hour = truncated("hour", CleanRecord.timestamp, dialect).label("hour")
    who = visitor(dialect).label("visitor")
    return select(hour, CleanRecord.source_id, who).where(who.is_not(None)).distinct()


def _sketched(rows: Iterable[Any]) -> dict[Hour, bytes]:
    places: dict[Hour, list[tuple[int, int]]] = defaultdict(list)
    for hour, source_id, name in rows:
        places[hour, source_id].append(sketches.place(name))
    return {key: sketches.sketch(found) for key, found in places.items()}


def merge(connection: Connection, since: datetime, until: datetime) -> None:
    """Make several rows of one hour one, of the hours from one to another."""
    own = TrafficVisitors
    several = select(own.hour, own.source_id).where(own.hour.between(since, until))
    several = several.where(own.sketch.is_not(None))
    several = several.group_by(own.hour, own.source_id).having(func.count() > 1)
    for hour, source_id in connection.execute(several).all():
        place = (*_of(own, hour, source_id), own.sketch.is_not(None))
        found = [
            sketches.unpacked(each) for each in connection.scalars(select(own.sketch).where(*place)) if each
        ]
        connection.execute(delete(own).where(*place))
        keep(connection, {(hour, source_id): sketches.merged(found)})


def _of(model: type[TrafficVisitors], hour: datetime, source_id: int) -> tuple[Condition, Condition]:
    return model.hour == hour, model.source_id == source_id
