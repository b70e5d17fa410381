"""The counting of clean records for reports: what is stored, and what is taken away again."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection, Engine, LargeBinary, case, func, or_, select, text, update

from db import compaction, minutes, visitors
from db.engine import reading, transaction
from db.ledger import CLEAN
from db.models import CleanRecord, Segment
from db.recount import add, prefer_hashes
from db.sections import HEAD_BYTES, is_current
from db.summaries import prefer_summaries, summarise
from db.tallied import Tallied, difference
from db.traffic import EPOCH, Condition
from pipeline.formats.parse import collector_paused

#: Most segments, and lines after which no further segment, in one transaction of counting: 30 MiB of keys.
SEGMENTS_AT_ONCE, LINES_AT_ONCE = 1000, 250_000
#: Lines from which on a segment keeps its tally once it is counted: that of a few lines is larger than their
#: entry in the ledger, and SQL counts them quickly.
KEPT_LINES = 1000
#: How far back from the newest day rows with one key are made one, and how long it is each older day's turn.
COMPACTED, TURN = timedelta(days=2), timedelta(minutes=10)
_FIRST = datetime.min.replace(tzinfo=UTC)
#: Returns a day that is to be compacted, from a moment on.
_Which = Callable[[Connection, datetime | None], datetime | None]
#: Key of the advisory lock under which segments are counted; any number that no one else uses.
COUNT_LOCK = 0x51_0C_1C_E2


def take_away(connection: Connection, source_id: int, start: int, end: int) -> None:
    """Take the records of a range, some of which the caller is about to delete, out of the counts.

    The range is that of whole segments, which the caller has locked. What stays of them is counted anew.
    """
    own = (Segment.source_id == source_id) & (Segment.stage == CLEAN)
    _take_away(connection, own & (Segment.start_offset >= start) & (Segment.start_offset < end))


def tally_of(connection: Connection, segment_id: int) -> bytes | None:
    """Return what a segment, which the caller has locked, has added to the counts; None: SQL can tell.

    It tells of all records of the segment: where some were removed since, SQL counts the others.
    """
    query = select(Segment.tally).where(Segment.id == segment_id, Segment.is_counted)
    tally = connection.scalar(query)
    return tally if tally and is_current(tally) else None


def exchange(connection: Connection, segment_id: int, before: bytes) -> None:
    """Put what a replaced segment's tally says into the counts, in the place of what `tally_of` returned."""
    query = select(Segment.source_id, Segment.tally).where(Segment.id == segment_id)
    source_id, after = connection.execute(query).one()
    assert after is not None, "what no database refuses has a tally"
    if after != before:
        found, lost = difference(source_id, after, before)
        found.insert(connection)
        visitors.mark_hours(connection, lost)


def take_away_ahead(engine: Engine, segment_ids: Sequence[int]) -> None:
    """Take the records of segments without a tally out of the counts, before each of them is replaced.

    Of many at once the keys are added up first: one by one they took longer than all else that replaces a
    segment. Segments that someone else holds are left to whoever replaces them; those with a tally need no
    SQL (`exchange`).

    Raises:
        DatabaseUnavailable: nothing is changed.
    """
    with transaction(engine) as connection:
        _take_time(connection)
        head = func.substr(Segment.tally, 1, HEAD_BYTES, type_=LargeBinary)
        counted = select(Segment.id, head).where(Segment.id.in_(segment_ids), Segment.is_counted)
        ids = [id_ for id_, told in connection.execute(counted) if not (told and is_current(told))]
        free = select(Segment.id).where(Segment.id.in_(ids)).with_for_update(skip_locked=True)
        if ids and (ids := list(connection.scalars(free))):
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
        add(connection, or_(*(CleanRecord.within(*place) for place in places)), sign=-1)
    told = segments & (Segment.is_counted | Segment.tally.is_not(None))
    connection.execute(update(Segment).where(told).values(is_counted=False, tally=None))


def count(engine: Engine) -> int:
    """Count what is not counted yet; return how many segments that were.

    Of two at once one finds nothing to do. Stopped in the middle, the next one goes on.

    Raises:
        DatabaseUnavailable: what was counted before stays so.
    """
    total = 0
    summarise(engine)
    first = newest = _newest_day(engine)
    while segments := _count_some(engine):
        total += segments
        summarise(engine)
        if newest != (now := _newest_day(engine)):
            # Days that are over now, while their rows are few: the next day takes the room of what goes.
            _compact_from(engine, _recent(newest))
            newest = now
    while _renew_some(engine):
        pass
    if first != newest:
        # Of other sources too; at the first count every day.
        _compact_from(engine, _recent(first))
        _forget(engine)
    _compact_days(engine, lambda connection, _: compaction.unsplit_day(connection), None)
    return total


def compact(engine: Engine) -> None:
    """Make rows of the counts with one key one, of the last days and an older one; no answer changes by it.

    Raises:
        DatabaseUnavailable: what is not compacted yet stays as it is.
    """
    newest = _newest_day(engine)
    if newest is None:
        return
    recent = _recent(newest)
    with reading(engine) as connection:
        older = compaction.days_before(connection, recent)
    if older:
        # What came late, or was replaced, costs its day a row for each key again.
        turn = older[(datetime.now(UTC) - EPOCH) // TURN % len(older)]
        _compact_day(engine, compaction.next_day, turn)
    _compact_from(engine, recent)
    _forget(engine)


def _recent(newest: datetime | None) -> datetime | None:
    """Return from when on days are compacted whenever the newest one is this, None: from the oldest on."""
    # A line may say that it was written at the beginning of time.
    return None if newest is None or newest - _FIRST < COMPACTED else newest - COMPACTED


def _forget(engine: Engine) -> None:
    """Delete the minutes of days that are in the counts of hours alone."""
    with transaction(engine) as connection:
        _take_time(connection)
        if _is_alone(connection):
            minutes.forget(connection, datetime.now(UTC))


def _compact_from(engine: Engine, since: datetime | None) -> None:
    _compact_days(engine, compaction.next_day, since)


def _compact_days(engine: Engine, which: _Which, since: datetime | None) -> None:
    """Compact the days that `which` returns, one after the other, until there is none."""
    is_changed = False
    while found := _compact_day(engine, which, since):
        since = compaction.end_of(found[0])
        is_changed |= found[1]
    if is_changed:
        compaction.vacuum(engine)


def _compact_day(engine: Engine, which: _Which, since: datetime | None) -> tuple[datetime, bool] | None:
    """Compact a day in a transaction of its own; return it, and whether there was anything to do.

    While someone else counts it is left to them or to the next time.
    """
    with transaction(engine) as connection:
        _take_time(connection)
        day = which(connection, since)
        if day is None or not _is_alone(connection):
            return None
        prefer_hashes(connection)
        return day, compaction.compact(connection, day)


def _newest_day(engine: Engine) -> datetime | None:
    with reading(engine) as connection:
        return compaction.newest_day(connection)


def _is_alone(connection: Connection) -> bool:
    """Return whether no one else counts until this transaction ends."""
    if connection.dialect.name != "postgresql":
        return True  # SQLite's transaction holds the one write lock already
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(COUNT_LOCK))).scalar())


def _count_some(engine: Engine) -> int:
    uncounted = select(
        Segment.id, Segment.source_id, Segment.start_offset, Segment.end_offset, Segment.line_count
    )
    uncounted = uncounted.where(~Segment.is_counted, Segment.stage == CLEAN)
    uncounted = uncounted.order_by(Segment.source_id, Segment.start_offset).limit(SEGMENTS_AT_ONCE)
    with transaction(engine) as connection:
        _take_time(connection)
        if not _is_alone(connection):
            return 0
        if connection.dialect.name == "postgresql":
            uncounted = uncounted.with_for_update(skip_locked=True)
        prefer_summaries(connection)
        found = connection.execute(uncounted).all()
        lines = accumulate(segment.line_count for segment in found)
        segments = found[: 1 + sum(1 for count in lines if count < LINES_AT_ONCE)]
        if segments:
            by_sql = _add_tallies(connection, segments)
            places = joined_ranges((s.source_id, s.start_offset, s.end_offset) for s in by_sql)
            if places:
                add(connection, or_(*(CleanRecord.within(*place) for place in places)), sign=1)
                while visitors.renew(connection):
                    pass
            ids = [segment.id for segment in segments]
            # A replay puts something else in its place.
            kept = case((Segment.line_count >= KEPT_LINES, Segment.tally))
            connection.execute(update(Segment).where(Segment.id.in_(ids)).values(is_counted=True, tally=kept))
            if by_sql:
                own = Segment.id.in_([segment.id for segment in by_sql])
                connection.execute(update(Segment).where(own).values(tally=None))
        return len(segments)


def _add_tallies(connection: Connection, segments: Sequence[Any]) -> list[Any]:
    """Add what the tallies of segments hold to the counts; return the segments without one."""
    tallied, without = Tallied(), []
    with collector_paused():  # hundreds of thousands of keys, and no cycle: a fifth of the time
        for segment in segments:
            tally = connection.scalar(select(Segment.tally).where(Segment.id == segment.id))
            if tally is None or not tallied.add(segment.source_id, tally):
                without.append(segment)
        tallied.insert(connection)
    return without


def _renew_some(engine: Engine) -> bool:
    with transaction(engine) as connection:
        _take_time(connection)
        prefer_summaries(connection)
        return _is_alone(connection) and visitors.renew(connection)


def joined_ranges(places: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return source, start and end of ranges, which come in order, those that touch each other made one."""
    joined: list[tuple[int, int, int]] = []
    for source_id, start, end in places:
        if joined and joined[-1][0] == source_id and joined[-1][2] == start:
            joined[-1] = (source_id, joined[-1][1], end)
        else:
            joined.append((source_id, start, end))
    return joined
