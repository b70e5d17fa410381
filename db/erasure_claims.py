"""Lines of an erasure that a stage has not stored yet: their ranges are claimed, so that it never will.

A batch that brings them later is trimmed to the lines beside them, whoever sends it: a queue, a repair from
the file, a dead letter that is replayed, a part of a backup.
"""

import hashlib
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Engine

from db import ledger
from db.engine import transaction
from db.ledger import LAKE, STAGES
from db.removals import Place, Removed
from db.removing import NO_RESTS, Reason, note
from db.sources import Catalogue
from pipeline.batch import Batch

#: Checksum of what is left of a segment that is claimed so.
_NOTHING = hashlib.sha256(b"").digest()


def claim_lines(connection: Connection, source_id: int, batches: Iterable[Batch], reason: Reason) -> None:
    """Claim in both stages what of some whole lines they lack, as segments of which everything is removed."""
    for batch in joined(batches):
        for stage in STAGES:
            won = [part.batch for part in ledger.claim(connection, source_id, stage, batch, reason.at).won]
            removed = [Removed(part.start, part.end, part.line_count) for part in won]
            rests = dict.fromkeys((part.start for part in won), _NOTHING) if stage == LAKE else NO_RESTS
            note(connection, Place(source_id, stage), removed, reason, rests)


def claim_batches(engine: Engine, batches: Iterable[Batch], reason: Reason) -> None:
    """Claim lines of dead letters, whose sources the database may not know yet.

    Raises:
        DatabaseUnavailable: those before are claimed.
    """
    for batch in joined(batches):
        with transaction(engine) as connection:
            source = Catalogue().source(connection, batch.source)
            claim_lines(connection, source.id, [batch], reason)


def joined(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batches, those that go on where the one before ends made one."""
    before: list[Batch] = []
    for batch in batches:
        if before and (before[-1].source.key, before[-1].end) != (batch.source.key, batch.start):
            yield _one(before)
            before = []
        before.append(batch)
    if before:
        yield _one(before)


def _one(batches: list[Batch]) -> Batch:
    return Batch(batches[0].source, batches[0].start, b"".join(batch.block for batch in batches))
