"""The ranges of the clean stage as a replay meets them: which format read them, which one would today."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, Select, select

from db import models
from db.engine import reading
from db.ledger import CLEAN
from db.models import Segment
from db.rebuild import held_bytes
from db.store import FALLBACK_FORMAT
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
    """

    since: datetime | None = None
    named: str | None = None
    redo: bool = False

    def format_of(self, found: CleanRange, of_source: str | None) -> LogFormat | None:
        """Return the format that reads the range today, None where only its bytes can tell.

        A format that parsed nothing of the range has no claim to it: then the source's format reads it.
        """
        own = found.made_by[0] if found.made_by and found.records else None
        name = self.named or own or of_source
        return get_format(name) if name else None

    def leaves(self, found: CleanRange, format_: LogFormat | None) -> bool:
        """Return whether the range is what this format makes of it already."""
        return not self.redo and format_ is not None and found.made_by == (format_.name, format_.version)


def clean_ranges(engine: Engine, source_id: int, since: datetime | None = None) -> Iterator[CleanRange]:
    """Yield the clean stage's ranges of a source in order, a page at a time in memory.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    position, full = 0, True
    while full:
        query = _query().where(Segment.source_id == source_id, Segment.start_offset >= position)
        if since is not None:
            query = query.where(Segment.stored_at >= since)
        with reading(engine) as connection:
            page = _found(connection, query.order_by(Segment.start_offset).limit(PAGE_RANGES))
        yield from page
        full = len(page) == PAGE_RANGES
        position = page[-1].end if page else position


def locked_range(connection: Connection, segment_id: int) -> CleanRange | None:
    """Return a range that no one else replaces until this transaction ends, None if its segment is gone."""
    found = _found(connection, _query().where(Segment.id == segment_id).with_for_update())
    return found[0] if found else None


def range_bytes(connection: Connection, found: CleanRange) -> bytes | None:
    """Return the bytes of a range from the lake, None where it lacks them or holds others."""
    held = held_bytes(connection, found.source_id, found.start, found.end)
    return held if held is not None and hashlib.sha256(held).digest() == found.checksum else None


def recognised(block: bytes) -> LogFormat:
    """Return the format that a first ingestion of the block by itself takes."""
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
    formats = connection.execute(select(models.Format.id, models.Format.name, models.Format.version))
    names = {id_: (name, version) for id_, name, version in formats}
    return [CleanRange(*row[:-1], None if row[-1] is None else names.get(row[-1])) for row in rows]
