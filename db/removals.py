"""What was removed on purpose: which ranges of a stage have no rows any more, since when and why.

The ledger keeps its segments, so nothing of them is stored again, and a row here says how many of a range's
rows the audit no longer expects. Ranges of a stage never overlap. Each covers whole segments, or lies within
one; rows are only ever added.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Select,
    func,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from db import ledger
from db.ledger import Range
from db.models import Base, Source
from pipeline.errors import PermanentError

#: Ranges that an error names.
NAMED_RANGES = 3


class Kind(StrEnum):
    """Why rows were removed: they were old enough, or a person asked for it."""

    RETENTION = "retention"
    ERASURE = "erasure"


class Removal(Base):
    """A byte range of a source whose rows in a stage were removed."""

    __tablename__ = "removals"
    __table_args__ = (
        CheckConstraint("stage IN ('lake', 'clean')", "stage"),
        CheckConstraint("kind IN ('retention', 'erasure')", "kind"),
        CheckConstraint("start_offset >= 0 AND end_offset > start_offset", "range"),
        Index(None, "source_id", "stage", "start_offset", unique=True),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey(Source.id))
    stage: Mapped[str]
    start_offset: Mapped[int] = mapped_column(BigInteger)
    end_offset: Mapped[int] = mapped_column(BigInteger)
    #: Rows that were removed: of raw_logs for the lake, of clean_records and rejected_lines for clean.
    line_count: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str]
    #: The receipt of an erasure.
    receipt_id: Mapped[uuid.UUID | None]
    #: SHA-256 of the bytes that this and earlier removals have left of a segment of the lake.
    rest_checksum: Mapped[bytes | None]
    removed_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Place:
    """A stage of a source."""

    source_id: int
    stage: str


class RangeRemoved(PermanentError):  # noqa: N818 - named as the other outcomes are
    """Bytes that are asked for were removed on purpose.

    Attributes:
        removed: the ranges, in order.
    """

    def __init__(self, place: Place, removed: Sequence[Range], advice: str) -> None:
        named = ", ".join(f"[{low}, {high})" for low, high in removed[:NAMED_RANGES])
        more = f" and {len(removed) - NAMED_RANGES} more" if len(removed) > NAMED_RANGES else ""
        super().__init__(
            f"source {place.source_id}: bytes {named}{more} were removed from {place.stage} by retention or "
            f"erasure: {advice}"
        )
        self.removed = list(removed)


@dataclass(frozen=True, slots=True)
class Removed:
    """A removed range, and how many rows that were."""

    start: int
    end: int
    line_count: int


@dataclass(frozen=True, slots=True)
class Sums:
    """Bytes of removed ranges, and rows that they had."""

    bytes: int = 0
    lines: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        """Return the sums of both."""
        return Sums(self.bytes + other.bytes, self.lines + other.lines)


@dataclass(frozen=True, slots=True)
class Left:
    """What removals have left of a segment.

    Attributes:
        ranges: the parts of which nothing was removed, in order.
        removed_lines: rows that the other parts had, where some part is left.
        rest_checksum: of the bytes of `ranges`, None where it is the segment's own.
    """

    ranges: list[Range]
    removed_lines: int
    rest_checksum: bytes | None


def removed_ranges(connection: Connection, place: Place, start: int, end: int) -> list[Range]:
    """Return the removed ranges that share a byte with [start, end), whole and in order."""
    return [(low, high) for low, high in connection.execute(_overlapping(place, start, end))]


def noted(connection: Connection, place: Place, start: int, end: int) -> list[Removed]:
    """Return such ranges as `removed_ranges` does, with the rows that they had."""
    columns = (Removal.start_offset, Removal.end_offset, Removal.line_count)
    query = _overlapping(place, start, end).with_only_columns(*columns)
    return [Removed(*row) for row in connection.execute(query)]


def removed_sums(connection: Connection, place: Place) -> dict[str, Sums]:
    """Return what was removed of a stage of a source, by the kind of removal."""
    size = func.sum(Removal.end_offset - Removal.start_offset)
    query = select(Removal.kind, size, func.sum(Removal.line_count)).where(_own(place))
    rows = connection.execute(query.group_by(Removal.kind).order_by(Removal.kind))
    return {kind: Sums(int(size), int(lines)) for kind, size, lines in rows}


def removed_lines(connection: Connection, stage: str, source_ids: Sequence[int]) -> dict[int, int]:
    """Return how many rows were removed from a stage, by source, where some were."""
    query = select(Removal.source_id, func.sum(Removal.line_count)).where(
        Removal.stage == stage, Removal.source_id.in_(source_ids)
    )
    return {id_: int(lines) for id_, lines in connection.execute(query.group_by(Removal.source_id))}


def left_of(connection: Connection, place: Place, start: int, end: int) -> Left:
    """Return what is left of a segment."""
    columns = (
        Removal.start_offset,
        Removal.end_offset,
        Removal.line_count,
        Removal.rest_checksum,
        Removal.id,
    )
    found = connection.execute(_overlapping(place, start, end).with_only_columns(*columns)).all()
    ranges = ledger.complement(((row.start_offset, row.end_offset) for row in found), start, end)
    latest = max(found, key=lambda row: row.id, default=None)
    return Left(ranges, sum(row.line_count for row in found), latest and latest.rest_checksum)


def _overlapping(place: Place, start: int, end: int) -> Select[int, int]:
    own = _own(place)
    # Of those that start earlier only the last can reach into the range: the index finds it.
    before = select(func.max(Removal.start_offset)).where(own, Removal.start_offset <= start)
    return (
        select(Removal.start_offset, Removal.end_offset)
        .where(own, Removal.start_offset >= func.coalesce(before.scalar_subquery(), 0))
        .where(Removal.start_offset < end, Removal.end_offset > start)
        .order_by(Removal.start_offset)
    )


def _own(place: Place) -> ColumnElement[bool]:
    return (Removal.source_id == place.source_id) & (Removal.stage == str(place.stage))


def kept_ranges(connection: Connection, place: Place, start: int, end: int) -> list[Range]:
    """Return the parts of [start, end) of which nothing was removed, in order."""
    return ledger.complement(removed_ranges(connection, place, start, end), start, end)
