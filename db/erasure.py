"""Erasure of one subject: every line that holds its value, and what was kept of such lines elsewhere.

The rows go, and `removals` notes their ranges in the same transaction, so that the audit stays true and the
ledger goes on refusing them. What arrives while an erasure looks is found by its next pass.
The engine must have no limit of time for a statement: tables are read whole.
"""

import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select, update

from db import ledger, lines, sqlite
from db.counting import take_away
from db.engine import reading, transaction
from db.erasure_claims import claim_lines
from db.erasure_search import Lines, Search, find
from db.erasure_texts import (
    COUNTED,
    NOTICED,
    blank_conflicts,
    conflicts_with,
    delete_counted,
    mask_noticed,
)
from db.faults import translated
from db.ledger import CLEAN, LAKE, Range
from db.models import CleanRecord, Conflict, RawLog, RejectedLine, Segment, Source
from db.removals import Kind, Place
from db.removing import Reason, remove
from db.summaries import prefer_summaries
from pipeline import batch

#: Lines that one transaction erases.
LINES_AT_ONCE = 500
#: Looks for lines, the last of which should find none.
PASSES = 4


@dataclass(slots=True)
class Erased:
    """What was erased, or with a dry run what would be.

    Attributes:
        by_field, by_text: how lines were found; see `Lines`.
        rows: that were deleted or changed, by table.
        ranges: byte ranges of whole lines by source id, in order.
        left: rows that still hold the value, by table: empty where all is well.
    """

    by_field: int = 0
    by_text: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    ranges: dict[int, list[Range]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)


#: Every table that may hold a subject's value.
TABLES = (
    *(model.__tablename__ for model in (RawLog, CleanRecord, RejectedLine, Conflict)),
    *NOTICED,
    *COUNTED,
)


def look(engine: Engine, search: Search) -> Erased:
    """Return what an erasure would find, and change nothing.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    found = _found(engine, search)
    erased = Erased(found.by_field, found.by_text)
    with reading(engine) as connection:
        prefer_summaries(connection)
        for source_id, starts in _groups(found):
            for model in (RawLog, CleanRecord, RejectedLine):
                erased.rows[model.__tablename__] += _count(connection, model, source_id, starts)
            contents = _contents(connection, source_id, starts)
            _extend(erased.ranges, source_id, _whole_lines(connection, source_id, starts, contents))
    erased.rows.update(_elsewhere(engine, search))
    erased.rows = +erased.rows
    return erased


def erase(engine: Engine, search: Search, receipt_id: uuid.UUID, at: datetime) -> Erased:
    """Erase a subject and look again; a second call finds nothing.

    Raises:
        DatabaseUnavailable: what was erased before stays so; a second call goes on.
    """
    reason = Reason(Kind.ERASURE, at, receipt_id)
    erased = Erased()
    for _ in range(PASSES):
        found = _found(engine, search)
        if not found.count:
            break
        erased.by_field += found.by_field
        erased.by_text += found.by_text
        for source_id, starts in _groups(found):
            with transaction(engine) as connection:
                ranges = _erase(connection, source_id, starts, reason, erased.rows)
            _extend(erased.ranges, source_id, ranges)
    conflicts = conflicts_with(engine, search.subject)
    blank_conflicts(engine, search.subject, conflicts)
    erased.rows[Conflict.__tablename__] += len(conflicts)
    erased.rows.update(mask_noticed(engine, search.subject))
    erased.rows.update(delete_counted(engine, search))
    erased.rows = +erased.rows
    erased.left = dict(+look(engine, search).rows)
    return erased


def _found(engine: Engine, search: Search) -> Lines:
    with reading(engine) as connection:
        return find(connection, search)


def _elsewhere(engine: Engine, search: Search) -> dict[str, int]:
    return {
        Conflict.__tablename__: len(conflicts_with(engine, search.subject)),
        **mask_noticed(engine, search.subject, dry_run=True),
        **delete_counted(engine, search, dry_run=True),
    }


def _groups(found: Lines) -> Iterator[tuple[int, list[int]]]:
    """Yield source and starts of lines in order, so many as one transaction takes."""
    for source_id, starts in sorted(found.starts.items()):
        ordered = sorted(starts)
        for index in range(0, len(ordered), LINES_AT_ONCE):
            yield source_id, ordered[index : index + LINES_AT_ONCE]


def _count(
    connection: Connection,
    model: type[RawLog | CleanRecord | RejectedLine],
    source_id: int,
    starts: Sequence[int],
) -> int:
    within = model.within(source_id, starts[0], starts[-1] + 1)
    query = select(func.count()).where(within, model.line_start.in_(starts))
    return connection.execute(query).scalar_one()


def _extend(ranges: dict[int, list[Range]], source_id: int, more: Sequence[Range]) -> None:
    own = ranges.setdefault(source_id, [])
    for start, end in more:
        if own and own[-1][1] >= start:
            own[-1] = (own[-1][0], max(own[-1][1], end))
        else:
            own.append((start, end))


def _erase(
    connection: Connection, source_id: int, starts: Sequence[int], reason: Reason, rows: Counter[str]
) -> list[Range]:
    """Remove lines of a source from both stages, count the rows, and return the ranges."""
    prefer_summaries(connection)
    contents = _contents(connection, source_id, starts)
    ranges = _whole_lines(connection, source_id, starts, contents)
    low, high = ranges[0][0], ranges[-1][1]
    # Locked before the counts change, so that nobody replaces or counts these records meanwhile.
    for segment in ledger.overlapping(connection, source_id, CLEAN, low, high, lock=True):
        if any(start < segment.end and segment.start < end for start, end in ranges):
            take_away(connection, source_id, segment.start, segment.end)
            # What it was to add to the counts holds values of its records.
            connection.execute(update(Segment).where(Segment.id == segment.id).values(tally=None))
    rejected = _count(connection, RejectedLine, source_id, starts)
    lake, clean = (
        sum(part.line_count for part in remove(connection, Place(source_id, stage), ranges, reason))
        for stage in (LAKE, CLEAN)
    )
    rows[RawLog.__tablename__] += lake
    rows[CleanRecord.__tablename__] += clean - rejected
    rows[RejectedLine.__tablename__] += rejected
    claim_lines(connection, source_id, _batches(connection, source_id, ranges, contents), reason)
    return ranges


def _batches(
    connection: Connection, source_id: int, ranges: Sequence[Range], contents: Mapping[int, bytes]
) -> Iterator[batch.Batch]:
    """Yield the lines of ranges as batches; of a line whose bytes nothing holds any more, blanks."""
    query = select(Source.key, Source.host, Source.path).where(Source.id == source_id)
    source = batch.Source(*connection.execute(query).one())
    for start, end in ranges:
        position = start
        while position < end:
            later = [known for known in contents if position < known < end]
            content = contents.get(position) or b" " * (min(later, default=end) - position - 1) + b"\n"
            yield batch.Batch(source, position, content)
            position += len(content)


def _contents(connection: Connection, source_id: int, starts: Sequence[int]) -> dict[int, bytes]:
    """Return the bytes of lines by their starts, as far as lake or rejected lines hold them."""
    contents = {}
    for model in (RejectedLine, RawLog):
        within = model.within(source_id, starts[0], starts[-1] + 1)
        query = select(model.line_start, model.line, model.raw).where(within, model.line_start.in_(starts))
        for start, line, raw in connection.execute(query):
            contents[start] = lines.original(line, raw)
    return contents


def _whole_lines(
    connection: Connection, source_id: int, starts: Sequence[int], contents: Mapping[int, bytes]
) -> list[Range]:
    """Return the byte ranges of lines, neighbours made one."""
    ranges: dict[int, list[Range]] = {}
    for start in starts:
        known = start in contents
        end = start + len(contents[start]) if known else _next_start(connection, source_id, start)
        _extend(ranges, source_id, [(start, end)])
    return ranges[source_id]


def _next_start(connection: Connection, source_id: int, start: int) -> int:
    """Return where a record ends whose line is in the lake no more: at the next one, or with its segment."""
    (segment,) = ledger.overlapping(connection, source_id, CLEAN, start, start + 1)
    firsts = (
        connection.execute(
            select(func.min(model.line_start)).where(model.within(source_id, start + 1, segment.end))
        ).scalar()
        for model in (CleanRecord, RejectedLine)
    )
    return min([segment.end, *(first for first in firsts if first is not None)])


def clear_space(engine: Engine) -> bool | None:
    """Write a SQLite file anew, so that no erased byte is left in it; None on PostgreSQL.

    Raises:
        DatabaseUnavailable: someone else uses it; erased lines are out of its tables, not of its file.
    """
    if engine.dialect.name == "postgresql":
        return None
    with translated():
        pooled = engine.raw_connection()
        try:
            driver = pooled.driver_connection
            assert isinstance(driver, sqlite3.Connection), "SQLite's dialect has SQLite's connection"
            return sqlite.rewrite(driver)
        finally:
            pooled.close()
