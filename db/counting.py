"""The counting of clean records for reports: what is stored, what is deleted, and what has the same key."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    FromClause,
    MetaData,
    Select,
    Table,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from db.engine import transaction
from db.ledger import CLEAN
from db.models import CleanRecord, Segment
from db.summaries import prefer_summaries, summarise
from db.traffic import (
    Condition,
    Counts,
    TrafficDay,
    TrafficMinute,
    as_text,
    day_of,
    kinds,
    size_sum,
    truncated,
)

#: Most segments, and lines after which no further segment, in one transaction of counting.
SEGMENTS_AT_ONCE, LINES_AT_ONCE = 1000, 1_000_000
#: How far back from the newest day rows are added up.
COMPACTED = timedelta(days=2)
#: The planner expects a handful of records, and would sort many on disk: half of the time of counting them.
_PREFER_HASHES = text("""
    SELECT set_config('enable_sort', 'off', TRUE), set_config('work_mem', '64MB', TRUE)
""")
#: Key of the advisory lock under which segments are counted; any number that no one else uses.
COUNT_LOCK = 0x51_0C_1C_E2


def take_away(connection: Connection, source_id: int, start: int, end: int) -> None:
    """Take the records of a range, which the caller is about to delete, out of the counts.

    The range is that of whole segments, which the caller has locked.
    """
    own = (Segment.source_id == source_id) & (Segment.stage == CLEAN)
    _take_away(connection, own & (Segment.start_offset >= start) & (Segment.start_offset < end))


def take_away_ahead(engine: Engine, segment_ids: Sequence[int]) -> None:
    """Take the records of segments out of the counts, before each of them is replaced.

    Of many at once the keys are added up first: one by one they took longer than all else that replaces a
    segment. Segments that someone else holds are left to whoever replaces them.

    Raises:
        DatabaseUnavailable: nothing is changed.
    """
    with transaction(engine) as connection:
        _take_time(connection)
        free = select(Segment.id).where(Segment.id.in_(segment_ids), Segment.is_counted)
        ids = connection.scalars(free.with_for_update(skip_locked=True)).all()
        if ids:
            prefer_summaries(connection)
            _take_away(connection, Segment.id.in_(ids))


def _take_time(connection: Connection) -> None:
    # A million records take longer than a statement of a load may.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _take_away(connection: Connection, segments: Condition) -> None:
    counted = segments & Segment.is_counted
    query = select(Segment.source_id, Segment.start_offset, Segment.end_offset).where(counted)
    places = joined_ranges(
        (row[0], row[1], row[2])
        for row in connection.execute(query.order_by(Segment.source_id, Segment.start_offset))
    )
    if places:
        _add(connection, or_(*(CleanRecord.within(*place) for place in places)), sign=-1)
        connection.execute(update(Segment).where(counted).values(is_counted=False))


def _add(connection: Connection, condition: Condition, sign: int) -> None:
    """Add the counts of some records, or with the sign -1 take them away."""
    if connection.dialect.name == "postgresql":
        connection.execute(_PREFER_HASHES)
    _add_minutes(connection, condition, sign)
    _add_days(connection, condition, sign)


def _add_minutes(connection: Connection, condition: Condition, sign: int) -> None:
    minute = truncated("minute", CleanRecord.timestamp, connection.dialect.name)
    host = func.coalesce(CleanRecord.server_name, CleanRecord.host)
    keys = (minute, CleanRecord.source_id, CleanRecord.status, CleanRecord.rest_method, host)
    query = select(*keys, sign * func.count(), sign * size_sum(CleanRecord.size_bytes)).where(condition)
    names = ["minute", "source_id", "status", "rest_method", "host", "hits", "bytes"]
    connection.execute(insert(TrafficMinute).from_select(names, query.group_by(*keys)))


def _add_days(connection: Connection, condition: Condition, sign: int) -> None:
    dialect = connection.dialect.name
    names = ["kind", "day", "source_id", "value", "status", "hits", "bytes"]
    for kind, (value, status) in kinds().items():
        # Grouped by what is cheap to make of a record, and made into what is stored once for each group.
        day = truncated("day", CleanRecord.timestamp, dialect).label("day")
        keys = (day, CleanRecord.source_id, value.label("value"), status.label("status"))
        sums = (func.count().label("hits"), size_sum(CleanRecord.size_bytes).label("bytes"))
        rows = select(*keys, *sums).where(condition, value.is_not(None)).group_by(*keys).subquery().c
        text_ = as_text(kind, rows.value, dialect)
        stored = (day_of(rows.day, dialect), rows.source_id, text_, rows.status)
        query = select(literal(kind), *stored, sign * rows.hits, sign * rows.bytes)
        connection.execute(insert(TrafficDay).from_select(names, query))


def count(engine: Engine) -> int:
    """Count what is not counted yet; return how many segments that were.

    Of two at once one finds nothing to do. Stopped in the middle, the next one goes on.

    Raises:
        DatabaseUnavailable: what was counted before stays so.
    """
    total = 0
    summarise(engine)
    while segments := _count_some(engine):
        total += segments
        summarise(engine)
    if total:
        _compact(engine)
    return total


def _count_some(engine: Engine) -> int:
    uncounted = select(
        Segment.id, Segment.source_id, Segment.start_offset, Segment.end_offset, Segment.line_count
    )
    uncounted = uncounted.where(~Segment.is_counted, Segment.stage == CLEAN)
    uncounted = uncounted.order_by(Segment.source_id, Segment.start_offset).limit(SEGMENTS_AT_ONCE)
    with transaction(engine) as connection:
        _take_time(connection)
        if connection.dialect.name == "postgresql":
            if not connection.execute(select(func.pg_try_advisory_xact_lock(COUNT_LOCK))).scalar():
                return 0
            uncounted = uncounted.with_for_update(skip_locked=True)
        prefer_summaries(connection)
        found = connection.execute(uncounted).all()
        lines = accumulate(segment.line_count for segment in found)
        segments = found[: 1 + sum(1 for count in lines if count < LINES_AT_ONCE)]
        if segments:
            places = joined_ranges((s.source_id, s.start_offset, s.end_offset) for s in segments)
            _add(connection, or_(*(CleanRecord.within(*place) for place in places)), sign=1)
            ids = [segment.id for segment in segments]
            connection.execute(update(Segment).where(Segment.id.in_(ids)).values(is_counted=True))
        return len(segments)


def joined_ranges(places: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return source, start and end of ranges, which come in order, those that touch each other made one."""
    joined: list[tuple[int, int, int]] = []
    for source_id, start, end in places:
        if joined and joined[-1][0] == source_id and joined[-1][2] == start:
            joined[-1] = (source_id, joined[-1][1], end)
        else:
            joined.append((source_id, start, end))
    return joined


def _compact(engine: Engine) -> None:
    # The newest day still grows; what an old one got late stays as it is: it costs a row and no error.
    with transaction(engine) as connection:
        _take_time(connection)
        newest = connection.execute(select(func.max(TrafficDay.day))).scalar()
        if newest is not None:
            first = newest - COMPACTED
            start = datetime(first.year, first.month, first.day, tzinfo=UTC)
            _add_up(connection, TrafficDay, (TrafficDay.day >= first) & (TrafficDay.day < newest))
            _add_up(connection, TrafficMinute, TrafficMinute.minute >= start)


def _add_up(connection: Connection, model: type[Counts], condition: Condition) -> None:
    table = model.__table__
    names = [column.name for column in table.columns if column.name not in ("hits", "bytes")]

    def sums(rows: FromClause) -> Select[*tuple[Any, ...]]:
        keys = [rows.c[name] for name in names]
        hits, size = (func.sum(rows.c[name]) for name in ("hits", "bytes"))
        query = select(*keys, cast(hits, BigInteger).label("hits"), cast(size, BigInteger).label("bytes"))
        return query.group_by(*keys).having(hits != 0)

    add = insert(model)
    columns = [*names, "hits", "bytes"]
    if connection.dialect.name == "postgresql":
        # One statement: rows that others insert meanwhile are not seen, and stay.
        gone = delete(model).where(condition).returning(*table.columns).cte("gone")
        connection.execute(add.from_select(columns, sums(gone)))
        return
    added_up = Table(
        "compacted", MetaData(), *(Column(c, table.c[c].type) for c in columns), prefixes=["TEMPORARY"]
    )
    added_up.create(connection)
    connection.execute(insert(added_up).from_select(columns, sums(table).where(condition)))
    connection.execute(delete(model).where(condition))
    connection.execute(add.from_select(columns, select(added_up)))
    added_up.drop(connection)
