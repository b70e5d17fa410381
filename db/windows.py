"""Windows of a source for the drift detector, counted by the database; only a sample of values is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median_low
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, func, select, type_coerce

from db.ledger import CLEAN
from db.measured import MEASURED, REJECTED
from db.models import CleanRecord, Format, RejectedLine, Segment
from pipeline.drift.detector import FORMAT
from pipeline.drift.window import MOST_VALUES, WINDOW_LINES, Window

#: Lines that are read of a segment at most: of a larger one its beginning stands for it.
SEGMENT_LINES = 8 * WINDOW_LINES
#: Segments that are listed at once.
PAGE_SEGMENTS = 400
#: After this a range that is not there is passed over: no batch is that late, `audit` looks for it.
GAP_AGE = timedelta(minutes=5)
#: Most characters of a value.
VALUE_LENGTH = 300
#: Scrambles places, so that lines of one length do not all fall into the sample, or all out of it.
_PRIME, _FACTOR = 1_000_003, 7919
_VALUES = {
    "hosts": func.coalesce(CleanRecord.server_name, CleanRecord.host),
    "agents": CleanRecord.user_agent,
    "paths": CleanRecord.path,
    "messages": CleanRecord.message,
}


@dataclass(slots=True)
class Stretch:
    """Bytes [start, end) of a source, whose lines are counted; `until` is where the next one begins."""

    start: int
    end: int
    until: int
    lines: int


def stretches(
    connection: Connection, source_id: int, position: int, now: datetime, *, whole_lines: int | None = None
) -> list[Stretch]:
    """Return what the clean stage has stored of a source from a position on, in order, up to a fresh gap.

    Of a segment of more than SEGMENT_LINES its beginning stands for it; with `whole_lines` every segment is
    whole, and they are joined up to so many lines.
    """
    most = whole_lines or SEGMENT_LINES
    query = (
        select(Segment.start_offset, Segment.end_offset, Segment.line_count, Segment.stored_at)
        .where(Segment.source_id == source_id, Segment.stage == CLEAN, Segment.start_offset >= position)
        .order_by(Segment.start_offset)
        .limit(PAGE_SEGMENTS)
    )
    found: list[Stretch] = []
    for start, end, lines, stored_at in connection.execute(query):
        if start > position and stored_at > now - GAP_AGE:
            break
        last = found[-1] if found else None
        if last and last.until == start and last.end == start and last.lines + lines <= most:
            last.end, last.until, last.lines = end, end, last.lines + lines
        elif lines > SEGMENT_LINES and not whole_lines:
            read = start + (end - start) * SEGMENT_LINES // lines
            found.append(Stretch(start, read, end, SEGMENT_LINES))
        else:
            found.append(Stretch(start, end, end, lines))
        position = end
    return found


def windows(connection: Connection, source_id: int, stretch: Stretch) -> Iterator[Window]:
    """Yield the lines of a stretch in windows of about WINDOW_LINES, or in one if they are fewer."""
    count = max(1, round(stretch.lines / WINDOW_LINES))
    width = -(-(stretch.end - stretch.start) // count)
    found = [
        Window(start, min(start + width, stretch.end), None, 0, 0)
        for start in range(stretch.start, stretch.end, width)
    ]
    _count_records(connection, source_id, stretch, width, found)
    _count_rejected(connection, source_id, stretch, width, found)
    _sample(connection, source_id, stretch, width, found)
    for window in found:
        window.size = window.end - window.start
        # A line longer than a window has windows without a start of a line.
        if window.lines:
            yield window


def scrambled(place: Any) -> ColumnElement[Any]:
    """Return a number of a place by which lines may be sampled, whatever their length."""
    return type_coerce((place % _PRIME) * _FACTOR % _PRIME, BigInteger())


def _bucket(column: Any, stretch: Stretch, width: int) -> ColumnElement[Any]:
    return type_coerce((column - stretch.start) // width, BigInteger()).label("bucket")


def _count_records(
    connection: Connection, source_id: int, stretch: Stretch, width: int, found: list[Window]
) -> None:
    bucket = _bucket(CleanRecord.line_start, stretch, width)
    counts = [func.count().filter(each.condition) for each in MEASURED.values()]
    among = [
        func.count() if each.among is None else func.count().filter(each.among) for each in MEASURED.values()
    ]
    keys = (bucket, CleanRecord.format_id)
    query = select(*keys, func.count(), func.min(CleanRecord.timestamp), *counts, *among)
    query = query.where(CleanRecord.within(source_id, stretch.start, stretch.end)).group_by(*keys)
    formats = {row.id: row.name for row in connection.execute(select(Format.id, Format.name))}
    for place, format_id, lines, moment, *rest in connection.execute(query):
        hits = dict(zip(MEASURED, rest[: len(MEASURED)], strict=True))
        totals = dict(zip(MEASURED, rest[len(MEASURED) :], strict=True))
        name = f"{FORMAT}{formats.get(format_id, format_id)}"
        part = Window(found[place].start, found[place].end, moment, lines, 0, {**hits, name: lines}, totals)
        found[place].add(part)
    for window in found:
        for name in window.hits:
            if name.startswith(FORMAT):
                window.among[name] = window.lines


def _count_rejected(
    connection: Connection, source_id: int, stretch: Stretch, width: int, found: list[Window]
) -> None:
    bucket = _bucket(RejectedLine.line_start, stretch, width)
    place = (RejectedLine.line_start >= stretch.start) & (RejectedLine.line_start < stretch.end)
    query = select(bucket, func.count()).where(RejectedLine.source_id == source_id, place).group_by(bucket)
    rejected = {row[0]: row[1] for row in connection.execute(query)}
    for number, window in enumerate(found):
        window.hits[REJECTED] = rejected.get(number, 0)
        window.lines += window.hits[REJECTED]
        window.among[REJECTED] = window.lines


def _sample(
    connection: Connection, source_id: int, stretch: Stretch, width: int, found: list[Window]
) -> None:
    step = max(1, round(stretch.lines / (len(found) * MOST_VALUES)))
    columns = [func.substr(value, 1, VALUE_LENGTH) for value in _VALUES.values()]
    query = select(CleanRecord.line_start, CleanRecord.timestamp, *columns).where(
        CleanRecord.within(source_id, stretch.start, stretch.end),
        scrambled(CleanRecord.line_start) % step == 0,
    )
    moments: list[list[datetime]] = [[] for _ in found]
    for start, moment, *values in connection.execute(query.order_by(CleanRecord.line_start)):
        number = (start - stretch.start) // width
        moments[number].append(moment)
        window = found[number]
        for kind, value in zip(_VALUES, values, strict=True):
            if value is not None and len(own := window.values.setdefault(kind, [])) < MOST_VALUES:
                own.append((value, start))
    for window, times in zip(found, moments, strict=True):
        if times:
            # The clock of a single line may say anything.
            window.moment = median_low(times)
