"""The ranges of the clean stage as a replay meets them: which format read them, which one would today."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import ColumnElement, Connection, Engine, Select, false, func, select
from sqlalchemy.orm import aliased

from db import models
from db.engine import reading
from db.ledger import CLEAN, LAKE
from db.models import Segment
from db.rebuild import held_bytes
from db.recognition import FALLBACK_FORMAT
from db.removals import Kind, Place, Removal, kept_ranges, removed_ranges
from db.summaries import prefer_summaries
from pipeline.errors import ConfigurationError
from pipeline.formats import detect, get_format
from pipeline.formats.line import LogFormat

#: Ranges that are in memory at once.
PAGE_RANGES = 500


@dataclass(frozen=True, slots=True)
class CleanRange:
    """A segment of the clean stage.

    Attributes:
        start, end: bytes of the source, [start, end).
        records, rejected: how many of its lines were parsed, and how many not.
        stored_at: when; the UTC day of it is the `stored_on` of its rows.
        made_by: name and version of the format that read it, None where none is noted.
    """

    id: int
    source_id: int
    start: int
    end: int
    checksum: bytes
    records: int
    rejected: int
    stored_at: datetime
    made_by: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Choice:
    """What a replay is about.

    Attributes:
        since: only ranges that the clean stage stored at this moment or later; None takes all.
        named: the format to read with; None takes the one that read the range, in today's version.
        redo: also what today's version has read already.
        risen: only what a lower version than today's has read, and not what a higher one has: workers of two
            versions may run at the same time.
    """

    since: datetime | None = None
    named: str | None = None
    redo: bool = False
    risen: bool = False

    def format_of(self, found: CleanRange, of_source: str | None) -> LogFormat | None:
        """Return the format that reads the range today, None where only its bytes can tell.

        A format that parsed nothing of the range has no claim to it: then the source's format reads it.
        """
        own = found.made_by[0] if found.made_by and found.records else None
        name = self.named or own or of_source
        return get_format(name) if name else None

    def leaves(self, found: CleanRange, format_: LogFormat | None) -> bool:
        """Return whether the range is what this format makes of it already."""
        if self.risen and not (found.made_by and has_risen(*found.made_by)):
            return True
        return not self.redo and format_ is not None and found.made_by == (format_.name, format_.version)


class Stays(Enum):
    """Why a range stays as it is."""

    #: Today's version has read it already.
    READ = auto()
    #: The lake lacks its bytes or holds others.
    UNAVAILABLE = auto()
    #: It was removed on purpose, or the lake's bytes of it were.
    REMOVED = auto()


@dataclass(frozen=True, slots=True)
class Reread:
    """What a range is read again from, and with which format.

    Attributes:
        parts: place and bytes of what is left of it, in order: all of it, but for what was removed.
        is_recognised: the bytes alone told the format: neither the choice nor range nor source names one.
    """

    parts: list[tuple[int, bytes]]
    format: LogFormat
    is_recognised: bool


def examine(
    connection: Connection, found: CleanRange, choice: Choice, of_source: str | None
) -> Reread | Stays:
    """Return how a range of a source with this format is read again, or why it stays.

    Raises:
        ConfigurationError: its format is not known here.
    """
    format_ = choice.format_of(found, of_source)
    if choice.leaves(found, format_):
        return Stays.READ
    prefer_summaries(connection)
    parts = _parts(connection, found)
    if isinstance(parts, Stays):
        return parts
    block = b"".join(part for _, part in parts)
    reread = Reread(parts, format_ or _recognised(block), format_ is None)
    return Stays.READ if choice.leaves(found, reread.format) else reread


def clean_ranges(engine: Engine, source_id: int, choice: Choice, position: int = 0) -> Iterator[CleanRange]:
    """Yield the ranges of a source that may concern a choice, from a position on, a page at a time in memory.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    full = True
    while full:
        with reading(engine) as connection:
            own = (Segment.source_id == source_id) & (Segment.start_offset >= position)
            query = _query().where(own, *concerned(connection, choice))
            page = _found(connection, query.order_by(Segment.start_offset).limit(PAGE_RANGES))
        yield from page
        full = len(page) == PAGE_RANGES
        position = page[-1].end if page else position


def first_source(engine: Engine, choice: Choice, least: int) -> int | None:
    """Return the first source from an id on with a range that may concern a choice, None without any.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        query = select(Segment.source_id).where(Segment.stage == CLEAN, Segment.source_id >= least)
        query = query.where(*concerned(connection, choice))
        return connection.execute(query.order_by(Segment.source_id).limit(1)).scalar()


def concerned(connection: Connection, choice: Choice) -> list[ColumnElement[bool]]:
    """Return the conditions under which a clean segment may concern a choice."""
    conditions: list[ColumnElement[bool]] = []
    if choice.since is not None:
        conditions.append(Segment.stored_at >= choice.since)
    if choice.risen:
        old = [id_ for id_, made_by in format_names(connection).items() if has_risen(*made_by)]
        conditions += [Segment.format_id.in_(old), _begins_in_the_lake(), _is_kept()] if old else [false()]
    return conditions


def has_risen(name: str, version: int) -> bool:
    """Return whether today's version of a format is above this one, False without it."""
    try:
        return get_format(name).version > version
    except ConfigurationError:
        return False


def _begins_in_the_lake() -> ColumnElement[bool]:
    # What the lake has dropped would be tried in vain, each time.
    lake = aliased(Segment)
    own = (lake.source_id == Segment.source_id) & (lake.stage == LAKE)
    # Of the segments that start earlier only the last can reach so far: the index finds it.
    last = select(lake.end_offset).where(own, lake.start_offset <= Segment.start_offset)
    ends = last.order_by(lake.start_offset.desc()).limit(1).scalar_subquery()
    return ends > Segment.start_offset


def _is_kept() -> ColumnElement[bool]:
    """Tell that retention took nothing of a segment from the lake, and not all of it from clean."""
    lake = _last_removed_end(LAKE, Removal.start_offset < Segment.end_offset)
    clean = _last_removed_end(CLEAN, Removal.start_offset <= Segment.start_offset)
    return (lake <= Segment.start_offset) & (clean < Segment.end_offset)


def _last_removed_end(stage: str, before: ColumnElement[bool]) -> ColumnElement[int]:
    """Return where the last range ends that retention took from a stage, of those that start before."""
    own = (Removal.source_id == Segment.source_id) & (Removal.stage == stage)
    ends = select(Removal.end_offset).where(own, Removal.kind == Kind.RETENTION.value, before)
    last = ends.order_by(Removal.start_offset.desc()).limit(1)
    return func.coalesce(last.scalar_subquery(), 0)


def locked_range(connection: Connection, segment_id: int) -> CleanRange | None:
    """Return a range that no one else replaces until this transaction ends, None if its segment is gone."""
    found = _found(connection, _query().where(Segment.id == segment_id).with_for_update())
    return found[0] if found else None


def _parts(connection: Connection, found: CleanRange) -> list[tuple[int, bytes]] | Stays:
    """Return place and bytes of what the clean stage still has of a range, or why they cannot be had."""
    place = (found.start, found.end)
    kept = kept_ranges(connection, Place(found.source_id, CLEAN), *place)
    gone = removed_ranges(connection, Place(found.source_id, LAKE), *place)
    # What the lake has dropped and clean has not cannot be read again; its records stay as they are.
    if not kept or any(low < end and start < high for low, high in kept for start, end in gone):
        return Stays.REMOVED
    parts = [(low, held_bytes(connection, found.source_id, low, high)) for low, high in kept]
    held = [(low, block) for low, block in parts if block is not None]
    whole = kept == [place]
    if len(held) < len(kept) or (whole and hashlib.sha256(held[0][1]).digest() != found.checksum):
        return Stays.UNAVAILABLE
    return held


def _recognised(block: bytes) -> LogFormat:
    # As a first ingestion of the block by itself.
    return detect(block) or get_format(FALLBACK_FORMAT)


def _query() -> Select[int, int, int, int, bytes, int, int, datetime, int | None]:
    return select(
        Segment.id,
        Segment.source_id,
        Segment.start_offset,
        Segment.end_offset,
        Segment.checksum,
        Segment.record_count,
        Segment.rejected_count,
        Segment.stored_at,
        Segment.format_id,
    ).where(Segment.stage == CLEAN)


def _found(
    connection: Connection, query: Select[int, int, int, int, bytes, int, int, datetime, int | None]
) -> list[CleanRange]:
    rows = connection.execute(query).all()
    # Not joined: a lock waits for the segment alone, and reads it again after the wait.
    names = format_names(connection)
    return [CleanRange(*row[:-1], None if row[-1] is None else names.get(row[-1])) for row in rows]


def format_names(connection: Connection) -> dict[int, tuple[str, int]]:
    """Return name and version of every format that has read a range, by its number in the database."""
    query = select(models.Format.id, models.Format.name, models.Format.version)
    return {id_: (name, version) for id_, name, version in connection.execute(query)}
