"""The ledger: which byte ranges of a source a stage has stored, each exactly once."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, insert, select, update
from sqlalchemy.dialects import postgresql

from db.models import Segment
from pipeline.batch import Batch

LAKE = "lake"
CLEAN = "clean"
STAGES = (LAKE, CLEAN)

#: [start, end) in bytes.
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Won:
    """A range that this transaction may store: its segment's id and its part of the batch.

    `stored_at` is when its bytes were stored before, where a replay stores them again.
    """

    segment_id: int
    batch: Batch
    stored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment as the ledger holds it."""

    id: int
    start: int
    end: int
    checksum: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a batch: the parts won, and the segments of others that overlap it."""

    won: list[Won]
    known: list[StoredSegment]


def claim(connection: Connection, source_id: int, stage: str, batch: Batch, now: datetime) -> Claim:
    """Claim for this transaction whatever of the batch the stage has not stored yet.

    The segments are written before their rows, so that of two transactions with the same range one waits
    here and then has nothing to load. If the transaction rolls back, the ranges are free again.
    """
    won: list[Won] = []
    missing = _first_try(connection, source_id, stage, batch)
    while missing:
        parts = [batch.slice(start, end) for start, end in missing]
        ids = [_insert(connection, source_id, stage, part, now) for part in parts]
        won += [Won(id_, part) for id_, part in zip(ids, parts, strict=True) if id_ is not None]
        if None not in ids:
            break
        # Someone else committed a part meanwhile: see what is left.
        stored = overlapping(connection, source_id, stage, batch.start, batch.end)
        missing = complement(((s.start, s.end) for s in stored), batch.start, batch.end)
    if len(won) == 1 and won[0].batch.block == batch.block:
        return Claim(won, [])
    own = {part.segment_id for part in won}
    stored = overlapping(connection, source_id, stage, batch.start, batch.end)
    return Claim(won, [segment for segment in stored if segment.id not in own])


def _first_try(connection: Connection, source_id: int, stage: str, batch: Batch) -> list[Range]:
    if connection.dialect.name == "postgresql":
        return [(batch.start, batch.end)]
    # SQLite holds the write lock: what is free now stays free.
    stored = overlapping(connection, source_id, stage, batch.start, batch.end)
    return complement(((s.start, s.end) for s in stored), batch.start, batch.end)


def _insert(connection: Connection, source_id: int, stage: str, part: Batch, now: datetime) -> int | None:
    values = {
        "source_id": source_id,
        "stage": stage,
        "start_offset": part.start,
        "end_offset": part.end,
        "checksum": part.checksum,
        "line_count": part.line_count,
        "record_count": part.line_count,
        "rejected_count": 0,
        "batch_id": uuid.UUID(part.id),
        "stored_at": now,
    }
    if connection.dialect.name == "postgresql":
        quiet = postgresql.insert(Segment).on_conflict_do_nothing().returning(Segment.id)
        return connection.execute(quiet, values).scalar()
    return connection.execute(insert(Segment).returning(Segment.id), values).scalar_one()


def settle(
    connection: Connection, segment_id: int, format_id: int, rejected_count: int, tally: bytes | None
) -> None:
    """Note in a segment of this transaction which format read it, how many lines were rejected, its tally."""
    records = Segment.line_count - rejected_count
    connection.execute(
        update(Segment)
        .where(Segment.id == segment_id)
        .values(format_id=format_id, rejected_count=rejected_count, record_count=records, tally=tally)
    )


def overlapping(
    connection: Connection, source_id: int, stage: str, start: int, end: int, *, lock: bool = False
) -> list[StoredSegment]:
    """Return the segments that share a byte with [start, end), in order.

    With `lock` no one else replaces their rows until this transaction ends.
    """
    query = _overlapping(source_id, stage, start, end)
    rows = connection.execute(query.with_for_update() if lock else query)
    return [StoredSegment(*row) for row in rows]


def first_overlapping(
    connection: Connection, source_id: int, stage: str, start: int, end: int
) -> StoredSegment | None:
    """Return the first segment that shares a byte with [start, end), or None."""
    row = connection.execute(_overlapping(source_id, stage, start, end).limit(1)).first()
    return row and StoredSegment(*row)


def _overlapping(source_id: int, stage: str, start: int, end: int) -> Select[int, int, int, bytes]:
    own = (Segment.source_id == source_id) & (Segment.stage == str(stage))
    # Of the segments that start earlier only the last can reach into the range: the index finds it.
    before = (
        select(func.max(Segment.start_offset)).where(own, Segment.start_offset <= start).scalar_subquery()
    )
    return (
        select(Segment.id, Segment.start_offset, Segment.end_offset, Segment.checksum)
        .where(own, Segment.start_offset >= func.coalesce(before, 0))
        .where(Segment.start_offset < end, Segment.end_offset > start)
        .order_by(Segment.start_offset)
    )


def complement(taken: Iterable[Range], start: int, end: int) -> list[Range]:
    """Return the parts of [start, end) that no range covers; ranges come in order."""
    free, position = [], start
    for taken_start, taken_end in taken:
        if taken_start > position:
            free.append((position, min(taken_start, end)))
        position = max(position, taken_end)
    if position < end:
        free.append((position, end))
    return [(low, high) for low, high in free if low < high]


def gaps(connection: Connection, source_id: int, stage: str, end: int) -> list[Range]:
    """Return the ranges of [0, end) that the stage has not stored, in order."""
    steps = _steps(source_id, stage).subquery()
    query = (
        select(steps.c.before, steps.c.start).where(steps.c.start > steps.c.before).order_by(steps.c.start)
    )
    found = [(low, min(high, end)) for low, high in connection.execute(query) if low < end]
    last = stored_end(connection, source_id, stage)
    return [*found, (last, end)] if last < end else found


def overlaps(connection: Connection, source_id: int, stage: str) -> list[Range]:
    """Return the ranges that two segments hold; the database refuses them, so any is damage."""
    steps = _steps(source_id, stage).subquery()
    query = (
        select(steps.c.start, steps.c.before).where(steps.c.start < steps.c.before).order_by(steps.c.start)
    )
    return [(low, high) for low, high in connection.execute(query)]


def ranges(connection: Connection, source_id: int, stage: str) -> list[Range]:
    """Return what the stage has stored, neighbours merged, in order."""
    end = stored_end(connection, source_id, stage)
    return complement(gaps(connection, source_id, stage, end), 0, end)


def stored_end(connection: Connection, source_id: int, stage: str) -> int:
    """Return the byte after the last one that the stage has stored, 0 without any."""
    query = select(func.max(Segment.end_offset)).where(
        Segment.source_id == source_id, Segment.stage == str(stage)
    )
    return connection.execute(query).scalar() or 0


def _steps(source_id: int, stage: str) -> Select[int, int]:
    before = func.lag(Segment.end_offset, 1, 0).over(order_by=Segment.start_offset)
    query = select(Segment.start_offset.label("start"), before.label("before"))
    return query.where(Segment.source_id == source_id, Segment.stage == str(stage))
