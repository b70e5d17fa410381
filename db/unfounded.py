"""Removals that have no reason: somebody noted them to hide that rows are gone."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, exists, func, select

from db.erasures import Erasure
from db.ledger import LAKE
from db.models import Segment
from db.removals import Kind, Removal

#: Least age of what retention takes: a day, the shortest rule.
LEAST_AGE = timedelta(days=1)


class Unfounded(NamedTuple):
    """Such a removal: bytes [start, end) of a source, and what is wrong with it."""

    source_id: int
    start: int
    end: int
    what: str


def unfounded(connection: Connection) -> Iterator[Unfounded]:
    """Yield such removals."""
    columns = (Removal.source_id, Removal.start_offset, Removal.end_offset)
    receipt = exists().where(Erasure.id == Removal.receipt_id)
    erased = select(*columns, Removal.stage).where(Removal.kind == Kind.ERASURE.value, ~receipt)
    for source_id, start, end, stage in connection.execute(erased.order_by(Removal.id)):
        yield Unfounded(source_id, start, end, f"lines were erased from {stage} without a receipt")
    newest = func.max(Segment.stored_at).label("stored_at")
    inside = (
        (Segment.source_id == Removal.source_id)
        & (Segment.stage == Removal.stage)
        & (Segment.start_offset >= Removal.start_offset)
        & (Segment.start_offset < Removal.end_offset)
    )
    # In clean a replay stores anew; in the lake the time of storing is sealed.
    taken = (
        select(*columns, Removal.removed_at, newest)
        .join(Segment, inside)
        .where(Removal.kind == Kind.RETENTION.value, Removal.stage == LAKE)
        .group_by(Removal.id)
        .order_by(Removal.id)
    )
    for source_id, start, end, removed_at, stored_at in connection.execute(taken):
        if removed_at - stored_at < LEAST_AGE:
            what = "retention took lines from the lake that were not a day old"
            yield Unfounded(source_id, start, end, what)
