"""Segments with what removals have left of them, a page of the ledger at a time."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from db import ledger
from db.ledger import Range
from db.models import Segment
from db.removals import Place, noted


@dataclass(frozen=True, slots=True)
class Remains:
    """A segment of a stage.

    Attributes:
        parts: ranges of it of which nothing was removed, in order.
        lines: rows that should be there.
    """

    start: int
    end: int
    stored_at: datetime
    is_counted: bool
    parts: tuple[Range, ...]
    lines: int

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing of it was removed."""
        return self.parts == ((self.start, self.end),)


def remains(
    connection: Connection, place: Place, low: int, high: int, *, lock: bool = False
) -> list[Remains]:
    """Return the segments that share a byte with [low, high), in order.

    With `lock` no one else replaces their rows until this transaction ends.
    """
    own = _own(place)
    # Of the segments that start earlier only the last can reach into the range: the index finds it.
    before = select(func.max(Segment.start_offset)).where(own, Segment.start_offset <= low).scalar_subquery()
    reaching = Segment.start_offset >= func.coalesce(before, 0)
    query = _query(own, reaching, Segment.start_offset < high, Segment.end_offset > low)
    return _joined(connection, place, connection.execute(query.with_for_update() if lock else query).all())


def remains_from(
    connection: Connection, place: Place, position: int, *conditions: ColumnElement[bool], most: int
) -> list[Remains]:
    """Return the first segments from a position on that fulfil some conditions."""
    query = _query(_own(place), Segment.start_offset >= position, *conditions).limit(most)
    return _joined(connection, place, connection.execute(query).all())


def _own(place: Place) -> ColumnElement[bool]:
    return (Segment.source_id == place.source_id) & (Segment.stage == str(place.stage))


def _query(*conditions: ColumnElement[bool]) -> Select[int, int, datetime, bool, int]:
    return (
        select(
            Segment.start_offset,
            Segment.end_offset,
            Segment.stored_at,
            Segment.is_counted,
            Segment.record_count + Segment.rejected_count,
        )
        .where(*conditions)
        .order_by(Segment.start_offset)
    )


def _joined(connection: Connection, place: Place, segments: Sequence[Row[*tuple[Any, ...]]]) -> list[Remains]:
    if not segments:
        return []
    removed = noted(connection, place, segments[0][0], segments[-1][1])
    starts = [each.start for each in removed]
    joined = []
    for start, end, stored_at, is_counted, lines in segments:
        first = max(bisect_right(starts, start) - 1, 0)
        inside = [each for each in removed[first : bisect_right(starts, end - 1)] if each.end > start]
        parts = ledger.complement(((each.start, each.end) for each in inside), start, end)
        # A removal covers whole segments, or lies within one.
        left = lines - sum(each.line_count for each in inside) if parts else 0
        joined.append(Remains(start, end, stored_at, is_counted, tuple(parts), left))
    return joined
