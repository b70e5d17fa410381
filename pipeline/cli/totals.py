"""What the tables hold of some sources, counted row by row beside what the ledger accounts for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from db import ledger
from db.engine import reading
from db.models import CleanRecord, RawLog, RejectedLine, Segment
from db.models import Source as SourceTable
from db.removals import removed_lines
from pipeline.topology import Stage

#: Sources counted by one query; SQLite takes 32,766 parameters at most.
CHUNK_COUNT = 500


@dataclass(frozen=True)
class Totals:
    """Sums over sources.

    Attributes:
        lines: that the ledger of the lake accounts for.
        raw, clean, rejected: rows of each table.
        missing_bytes: that a stage lacks, both stages together.
        missing_lines, duplicate_lines: rows that a stage has fewer or more than its ledger accounts for.
    """

    lines: int = 0
    raw: int = 0
    clean: int = 0
    rejected: int = 0
    missing_bytes: int = 0
    missing_lines: int = 0
    duplicate_lines: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        """Return the sums of both."""
        names = self.__dataclass_fields__
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in names})


def totals(engine: Engine, offsets: Mapping[str, int]) -> Totals:
    """Return the totals of the sources with these keys, each complete up to its confirmed offset or beyond.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    keys = list(offsets)
    result = Totals()
    with reading(engine) as connection:
        for start in range(0, len(keys), CHUNK_COUNT):
            for part in _chunk(connection, keys[start : start + CHUNK_COUNT], offsets):
                result += part
    return result


def _chunk(connection: Connection, keys: Sequence[str], offsets: Mapping[str, int]) -> Iterator[Totals]:
    query = select(SourceTable.key, SourceTable.id).where(SourceTable.key.in_(keys))
    ids = {key: source_id for key, source_id in connection.execute(query)}  # noqa: C416 - rows, not pairs
    chosen = list(ids.values())
    raw, clean, rejected = (_rows(connection, table, chosen) for table in (RawLog, CleanRecord, RejectedLine))
    accounted = {stage: _accounted(connection, stage, chosen) for stage in Stage}
    for key in keys:
        source_id = ids.get(key)
        counts = tuple(rows.get(source_id, 0) for rows in (raw, clean, rejected))
        lines = {stage: accounted[stage].get(source_id, 0) for stage in Stage}
        yield _source(counts, lines, _missing_bytes(connection, source_id, offsets[key]))


def _source(counts: tuple[int, ...], lines: Mapping[Stage, int], missing_bytes: int) -> Totals:
    raw, clean, rejected = counts
    surplus = (raw - lines[Stage.LAKE], clean + rejected - lines[Stage.CLEAN])
    return Totals(
        lines=lines[Stage.LAKE],
        raw=raw,
        clean=clean,
        rejected=rejected,
        missing_bytes=missing_bytes,
        missing_lines=sum(max(0, -rows) for rows in surplus),
        duplicate_lines=sum(max(0, rows) for rows in surplus),
    )


def _rows(
    connection: Connection, table: type[RawLog | CleanRecord | RejectedLine], ids: Sequence[int]
) -> dict[int | None, int]:
    query = select(table.source_id, func.count()).where(table.source_id.in_(ids)).group_by(table.source_id)
    return {source_id: int(count) for source_id, count in connection.execute(query)}


def _accounted(connection: Connection, stage: Stage, ids: Sequence[int]) -> dict[int | None, int]:
    lines = func.sum(Segment.record_count + Segment.rejected_count)
    query = (
        select(Segment.source_id, lines)
        .where(Segment.source_id.in_(ids), Segment.stage == stage.value)
        .group_by(Segment.source_id)
    )
    removed = removed_lines(connection, stage.value, ids)
    return {id_: int(count) - removed.get(id_, 0) for id_, count in connection.execute(query)}


def _missing_bytes(connection: Connection, source_id: int | None, offset: int) -> int:
    if source_id is None:
        return offset * len(Stage)
    end = max(offset, *(ledger.stored_end(connection, source_id, stage) for stage in Stage))
    gaps = (gap for stage in Stage for gap in ledger.gaps(connection, source_id, stage, end))
    return sum(high - low for low, high in gaps)
