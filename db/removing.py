"""Rows removed on purpose: deleted and noted in one transaction, so that the audit is true at any moment."""

import hashlib
import uuid
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select

from db import ledger
from db.ledger import CLEAN, LAKE, Range, StoredSegment
from db.models import CleanRecord, RawLog, RejectedLine
from db.rebuild import segment_bytes
from db.removals import Kind, Place, Removal, Removed, removed_ranges
from db.summaries import prefer_summaries

#: Ranges whose rows one statement deletes.
RANGES_AT_ONCE = 200
NO_RESTS: Mapping[int, bytes] = {}
Model = type[RawLog | CleanRecord | RejectedLine]
Models = Sequence[Model]
#: The tables of each stage.
MODELS: dict[str, Models] = {LAKE: (RawLog,), CLEAN: (CleanRecord, RejectedLine)}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why and when something is removed; an erasure has a receipt."""

    kind: Kind
    at: datetime
    receipt_id: uuid.UUID | None = None


def remove(connection: Connection, place: Place, wanted: Sequence[Range], reason: Reason) -> list[Removed]:
    """Delete the rows of some ranges of whole lines, note it, and return what was there.

    `wanted` comes in order, without overlaps, and at most some thousand at once. What the stage has not
    stored is not removed: store it first, or the ledger lets it in later. Nobody else replaces rows of these
    segments until the transaction ends. Counts for reports are the caller's: see `counting.take_away`.
    """
    if not wanted:
        return []
    prefer_summaries(connection)
    low, high = wanted[0][0], wanted[-1][1]
    segments = ledger.overlapping(connection, place.source_id, place.stage, low, high, lock=True)
    taken = removed_ranges(connection, place, low, high)
    parts = list(_stored_parts(segments, wanted, taken))
    removed = take_rows(connection, place, parts, MODELS[place.stage])
    rests = _rests(connection, place, segments, removed) if place.stage == LAKE else {}
    note(connection, place, removed, reason, rests)
    return removed


def note(
    connection: Connection,
    place: Place,
    removed: Sequence[Removed],
    reason: Reason,
    rests: Mapping[int, bytes] = NO_RESTS,
) -> None:
    """Note ranges whose rows this transaction has deleted; `rests` has checksums by the starts of ranges."""
    own = {
        "source_id": place.source_id,
        "stage": str(place.stage),
        "kind": reason.kind.value,
        "receipt_id": reason.receipt_id,
        "removed_at": reason.at,
    }
    rows = [
        {
            **own,
            "start_offset": part.start,
            "end_offset": part.end,
            "line_count": part.line_count,
            "rest_checksum": rests.get(part.start),
        }
        for part in removed
    ]
    if rows:
        connection.execute(insert(Removal), rows)


def _stored_parts(
    segments: Sequence[StoredSegment], wanted: Sequence[Range], taken: Sequence[Range]
) -> Iterator[Range]:
    """Yield what of the wanted ranges is stored and not removed yet, cut where segments meet."""
    starts = [segment.start for segment in segments]
    for low, high in wanted:
        near = [part for part in taken if low < part[1] and part[0] < high]
        for start, end in ledger.complement(near, low, high):
            index = max(bisect_right(starts, start) - 1, 0)
            while index < len(segments) and segments[index].start < end:
                part = max(start, segments[index].start), min(end, segments[index].end)
                if part[0] < part[1]:
                    yield part
                index += 1


def take_rows(
    connection: Connection, place: Place, parts: Sequence[Range], models: Models, *, delete_: bool = True
) -> list[Removed]:
    """Delete the rows of some ranges, which come in order, and return those that had any; or only count."""
    counts: Counter[int] = Counter()
    for first in range(0, len(parts), RANGES_AT_ONCE):
        some = parts[first : first + RANGES_AT_ONCE]
        lows = [low for low, _ in some]
        for model in models:
            within = or_(*(model.within(place.source_id, *part) for part in some))
            if len(some) == 1:
                counts[first] += _count(connection, model, within, delete_=delete_)
                continue
            rows = delete(model).where(within).returning(model.line_start)
            starts = connection.scalars(rows if delete_ else select(model.line_start).where(within))
            counts.update(first + bisect_right(lows, start) - 1 for start in starts)
    return [Removed(*parts[index], counts[index]) for index in sorted(+counts)]


def _count(connection: Connection, model: Model, within: ColumnElement[bool], *, delete_: bool) -> int:
    if delete_:
        return connection.execute(delete(model).where(within)).rowcount
    return connection.execute(select(func.count()).select_from(model).where(within)).scalar_one()


def _rests(
    connection: Connection, place: Place, segments: Sequence[StoredSegment], removed: Sequence[Removed]
) -> dict[int, bytes]:
    """Return the checksum of what is left of each segment that lost a part, by the starts of its parts."""
    starts = [segment.start for segment in segments]
    touched: dict[int, list[int]] = {}
    for part in removed:
        touched.setdefault(bisect_right(starts, part.start) - 1, []).append(part.start)
    rests: dict[int, bytes] = {}
    for index, parts in touched.items():
        rest = segment_bytes(connection, place.source_id, segments[index].start, segments[index].end)
        rests |= dict.fromkeys(parts, hashlib.sha256(rest).digest())
    return rests
