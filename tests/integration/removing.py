"""A source of three segments, and ranges of it that are removed."""

import uuid
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from db.engine import transaction
from db.ledger import CLEAN, LAKE, Range
from db.removals import Kind, Place
from db.removing import Reason, Removed, remove
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source

KEY = "cd" * 16
SOURCE = Source(KEY, "web-1", "/log", format="combined")
LINE = b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "agent"\n'
ODD = b"not \xff a log line\n"
#: Two lines, one that does not parse, two lines.
BLOCK = LINE * 2 + ODD + LINE * 2
SIZE, STEP = len(BLOCK), len(LINE)
END = 3 * SIZE
#: Of the second segment: its second line, and the one that does not parse.
SECOND = (SIZE + STEP, SIZE + 2 * STEP)
THIRD = (SIZE + 2 * STEP, SIZE + 2 * STEP + len(ODD))
#: The third segment.
WHOLE = (2 * SIZE, END)
RECEIPT = uuid.UUID(int=7)


def store(engine: Engine, start: int, block: bytes) -> int:
    """Store a block in both stages; return how many bytes were new or in conflict."""
    both = [stage(engine).store(Batch(SOURCE, start, block)) for stage in (LakeStore, CleanStore)]
    return sum(stored.new_bytes + stored.conflict_bytes for stored in both)


def fill(engine: Engine) -> None:
    """Store the three segments in each stage."""
    for number in range(3):
        store(engine, number * SIZE, BLOCK)


def taken(engine: Engine, stage: str, *wanted: Range, kind: Kind = Kind.ERASURE) -> list[Removed]:
    """Remove ranges of a stage."""
    receipt = RECEIPT if kind is Kind.ERASURE else None
    with transaction(engine) as connection:
        return remove(connection, Place(1, stage), wanted, Reason(kind, datetime.now(UTC), receipt))


def both_taken(engine: Engine, *wanted: Range) -> None:
    """Remove ranges of both stages."""
    for stage in (LAKE, CLEAN):
        taken(engine, stage, *wanted)


def damage(engine: Engine, statement: str) -> None:
    """Do to the tables what no one should."""
    with transaction(engine) as connection:
        assert connection.execute(text(statement)).rowcount > 0
