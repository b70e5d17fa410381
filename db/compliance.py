"""What was removed on purpose in a period, summed up by source, stage and kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select, type_coerce

from db.columns import Moment
from db.engine import reading
from db.models import Source
from db.removals import Removal

#: Rows that are in memory at once.
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RemovedSum:
    """Lines and bytes that left a stage of a source.

    Attributes:
        kind: retention or erasure.
        removals: how often.
        first, last: when.
    """

    source_id: int
    path: str
    stage: str
    kind: str
    removals: int
    lines: int
    bytes: int
    first: datetime
    last: datetime


def removed(
    engine: Engine, since: datetime | None = None, until: datetime | None = None
) -> Iterator[RemovedSum]:
    """Yield what was removed in [since, until), by source, stage and kind.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    keys = (Removal.source_id, Source.path, Removal.stage, Removal.kind)
    size = func.sum(Removal.end_offset - Removal.start_offset)
    first, last = (type_coerce(each(Removal.removed_at), Moment()) for each in (func.min, func.max))
    query = select(*keys, func.count(), func.sum(Removal.line_count), size, first, last)
    query = query.join(Source, Source.id == Removal.source_id).group_by(*keys).order_by(*keys)
    if since is not None:
        query = query.where(Removal.removed_at >= since)
    if until is not None:
        query = query.where(Removal.removed_at < until)
    with reading(engine) as connection:
        for row in connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
            source_id, path, stage, kind, count, lines, bytes_, *when = row
            yield RemovedSum(source_id, path, stage, kind, count, int(lines), int(bytes_), *when)
