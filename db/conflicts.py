"""Other bytes for a range that is stored already: noticed, kept apart, never merged."""

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime

import zstandard
from sqlalchemy import Connection, exists, select, text
from sqlalchemy.dialects import postgresql, sqlite

from db.ledger import StoredSegment
from db.models import Conflict
from db.rebuild import held_bytes
from db.removals import Place, kept_ranges
from pipeline.batch import Batch

#: Columns that tell which bytes came: a batch's id is made of its source, range and checksum.
_WHICH = ("source_id", "stage", "start_offset", "end_offset", "batch_id")


def keep_conflicts(
    connection: Connection,
    source_id: int,
    stage: str,
    batch: Batch,
    known: Iterable[StoredSegment],
    *,
    now: datetime,
) -> int:
    """Keep each part of a batch that says something else than a known segment; return its bytes.

    The same conflict arriving again is kept once, and counted in the result each time.
    """
    conflicting = 0
    for segment in known:
        part = batch.slice(max(segment.start, batch.start), min(segment.end, batch.end))
        if not _agrees(connection, source_id, stage, segment, part):
            _keep(connection, source_id, stage, part, now)
            conflicting += len(part.block)
    return conflicting


def _agrees(connection: Connection, source_id: int, stage: str, segment: StoredSegment, part: Batch) -> bool:
    if (segment.start, segment.end) == (part.start, part.end):
        own = segment.checksum == part.checksum
        # Of lines that were removed on purpose no other content is kept either.
        return own or not kept_ranges(connection, Place(source_id, stage), part.start, part.end)
    # Part of a segment has no checksum of its own. The lake has its bytes; where it does not yet (clean may
    # be ahead of lake), or this role may not read it, nothing can be compared, and the lake will see the
    # same batch on its own queue.
    held = held_bytes(connection, source_id, part.start, part.end) if may_read_lake(connection) else None
    return held is None or held == part.block


def _keep(connection: Connection, source_id: int, stage: str, part: Batch, now: datetime) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {
        "source_id": source_id,
        "stage": str(stage),
        "start_offset": part.start,
        "end_offset": part.end,
        "checksum": part.checksum,
        "block": zstandard.compress(part.block),
        "batch_id": uuid.UUID(part.id),
        "seen_at": now,
    }
    same = [Conflict.__table__.c[name] == values[name] for name in _WHICH]
    # One of the same bytes may hold stars in the place of erased lines: then its checksum is another.
    if not connection.execute(select(exists().where(*same))).scalar_one():
        connection.execute(dialect.insert(Conflict).on_conflict_do_nothing(), values)


def may_read_lake(connection: Connection) -> bool:
    """Tell whether this role may read lines as they were written; the clean pool's may not."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(text("SELECT has_table_privilege('raw_logs', 'SELECT')")).scalar())


def conflict_block(conflict: Conflict) -> bytes:
    """Return the bytes that a conflict keeps, checked.

    Raises:
        ValueError: they do not match their checksum.
    """
    block = zstandard.decompress(conflict.block, max_output_size=conflict.end_offset - conflict.start_offset)
    if hashlib.sha256(block).digest() != conflict.checksum:
        raise ValueError(f"conflict {conflict.id} is damaged")
    return block
