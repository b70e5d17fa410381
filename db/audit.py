"""Completeness per source and stage: what is missing, what is there twice, what contradicts."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, Select, distinct, func, select, text

from db import ledger
from db.engine import reading
from db.ledger import CLEAN, LAKE, STAGES, Range
from db.models import CleanRecord, Conflict, RawLog, RejectedLine, Segment, Source
from db.rebuild import segment_bytes
from db.removals import Place, Sums, left_of, removed_sums
from db.summaries import prefer_summaries, summarise


@dataclass(slots=True)
class StageAudit:
    """What a stage holds of a source.

    Attributes:
        stored_bytes: in its segments, removed ones included.
        gaps: ranges of [0, end) that it lacks.
        ledger_lines: that its segments account for.
        removed: bytes and lines of them that were removed on purpose, by the kind of removal.
        stored_lines: rows that are there.
        duplicate_lines, missing_lines: rows too many and too few; `deep` finds them segment by segment,
            without it one too many and one too few in the same source hide each other.
        damaged: segments of the lake whose bytes are not those that were stored; `deep` only.
        dead_bytes: bytes of the gaps that wait in the stage's dead letters.
    """

    stored_bytes: int = 0
    gaps: list[Range] = field(default_factory=list)
    ledger_lines: int = 0
    removed: dict[str, Sums] = field(default_factory=dict)
    stored_lines: int = 0
    duplicate_lines: int = 0
    missing_lines: int = 0
    damaged: list[Range] = field(default_factory=list)
    dead_bytes: int = 0

    @property
    def missing_bytes(self) -> int:
        """Bytes in the gaps."""
        return sum(high - low for low, high in self.gaps)

    @property
    def expected_lines(self) -> int:
        """Rows that should be there."""
        return self.ledger_lines - sum(removed.lines for removed in self.removed.values())


@dataclass(slots=True)
class SourceAudit:
    """What both stages hold of a source; `id` is None where only the checkpoint knows it.

    `end` is where both stages should be: the checkpoint, or the furthest byte that either has stored.
    """

    id: int | None
    key: str
    path: str
    end: int
    conflicts: int
    stages: dict[str, StageAudit]


@dataclass(slots=True)
class AuditReport:
    """The sources and their sums; `complete` is the answer."""

    sources: list[SourceAudit]

    def _stages(self) -> Iterator[StageAudit]:
        return (stage for source in self.sources for stage in source.stages.values())

    @property
    def missing_bytes(self) -> int:
        """Bytes that a stage lacks, over both stages."""
        return sum(stage.missing_bytes for stage in self._stages())

    @property
    def dead_bytes(self) -> int:
        """Of the missing bytes, those that wait in dead letters."""
        return sum(stage.dead_bytes for stage in self._stages())

    @property
    def missing_lines(self) -> int:
        """Rows that the ledger accounts for and the tables do not hold."""
        return sum(stage.missing_lines for stage in self._stages())

    @property
    def duplicate_lines(self) -> int:
        """Rows beyond those that the ledger accounts for."""
        return sum(stage.duplicate_lines for stage in self._stages())

    @property
    def damaged_segments(self) -> int:
        """Segments of the lake whose bytes are not those that were stored; 0 without `deep`."""
        return sum(len(stage.damaged) for stage in self._stages())

    def removed(self, stage: str) -> dict[str, Sums]:
        """What was removed from a stage on purpose, by the kind of removal, over all sources."""
        found: dict[str, Sums] = {}
        for source in self.sources:
            for kind, sums in source.stages[stage].removed.items():
                found[kind] = found.get(kind, Sums()) + sums
        return found

    @property
    def conflicts(self) -> int:
        """Blocks that contradict what is stored and that no one has resolved."""
        return sum(source.conflicts for source in self.sources)

    @property
    def complete(self) -> bool:
        """True if every byte is in both stages exactly once and nothing contradicts."""
        return not (
            self.missing_bytes
            or self.missing_lines
            or self.duplicate_lines
            or self.damaged_segments
            or self.conflicts
        )


#: Ranges in the dead letters of each stage, in order, by source key.
Dead = Mapping[str, Mapping[str, Sequence[Range]]]


def audit(
    engine: Engine, offsets: Mapping[str, int] | None, *, deep: bool = False, dead: Dead | None = None
) -> AuditReport:
    """Return the completeness of every source, from one moment's view of the database.

    `offsets` holds the confirmed offset of each source by its key, from the checkpoint; without it a stage is
    compared with the other one only. `deep` reads every row: it compares lines segment by segment and the
    lake's bytes with their checksums. `dead` says which of the missing bytes are in dead letters: with it,
    every byte is stored, rejected, dead, or a gap that no one can explain.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    ends = _ends(offsets or {}, dead or {})
    if deep:
        summarise(engine)
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))  # counting 10**9 rows takes its time
        counts = _row_counts(connection)
        if deep:
            prefer_summaries(connection)
        rows = connection.execute(select(Source.id, Source.key, Source.path).order_by(Source.id)).all()
        audits = [
            _audit_source(connection, SourceAudit(id_, key, path, ends.pop(key, 0), 0, {}), counts, deep)
            for id_, key, path in rows
        ]
    audits += [_unknown(key, end) for key, end in ends.items() if end]
    for source in audits:
        for stage, audited in source.stages.items():
            audited.dead_bytes = _shared(audited.gaps, (dead or {}).get(stage, {}).get(source.key, []))
    return AuditReport(audits)


def _ends(offsets: Mapping[str, int], dead: Dead) -> dict[str, int]:
    # A dead letter was confirmed, whether or not this machine has the checkpoint that says so.
    ends = dict(offsets)
    for ranges in dead.values():
        for key, buried in ranges.items():
            ends[key] = max([ends.get(key, 0), *(end for _, end in buried)])
    return ends


def _shared(gaps: Sequence[Range], dead: Sequence[Range]) -> int:
    """Return how many bytes of the gaps the dead letters hold."""
    living = (part for low, high in gaps for part in ledger.complement(dead, low, high))
    return sum(high - low for low, high in gaps) - sum(high - low for low, high in living)


def _unknown(key: str, end: int) -> SourceAudit:
    return SourceAudit(None, key, "", end, 0, {stage: StageAudit(gaps=[(0, end)]) for stage in STAGES})


#: Rows by stage and source.
Counts = dict[str, dict[int, int]]


def _row_counts(connection: Connection) -> Counts:
    lake = _count(connection, RawLog)
    clean = _count(connection, CleanRecord)
    for source_id, rejected in _count(connection, RejectedLine).items():
        clean[source_id] = clean.get(source_id, 0) + rejected
    return {LAKE: lake, CLEAN: clean}


def _count(connection: Connection, model: type[RawLog | CleanRecord | RejectedLine]) -> dict[int, int]:
    query = select(model.source_id, func.count()).group_by(model.source_id)
    return {source_id: count for source_id, count in connection.execute(query)}  # noqa: C416 - rows, not pairs


def _audit_source(connection: Connection, source: SourceAudit, counts: Counts, deep: bool) -> SourceAudit:
    assert source.id is not None, "the database knows this source"
    source.end = max(source.end, *(ledger.stored_end(connection, source.id, stage) for stage in STAGES))
    unresolved = select(func.count()).where(Conflict.source_id == source.id, Conflict.resolved_at.is_(None))
    source.conflicts = connection.execute(unresolved).scalar_one()
    for stage in STAGES:
        audited = _audit_stage(connection, source.id, stage, source.end)
        audited.stored_lines = counts[stage].get(source.id, 0)
        surplus = audited.stored_lines - audited.expected_lines
        audited.duplicate_lines, audited.missing_lines = max(surplus, 0), max(-surplus, 0)
        if deep:
            _audit_segments(connection, source.id, stage, audited)
        source.stages[stage] = audited
    return source


def _audit_stage(connection: Connection, source_id: int, stage: str, end: int) -> StageAudit:
    size = func.coalesce(func.sum(Segment.end_offset - Segment.start_offset), 0)
    accounted = func.coalesce(func.sum(Segment.record_count + Segment.rejected_count), 0)
    query = select(size, accounted).where(Segment.source_id == source_id, Segment.stage == stage)
    stored_bytes, lines = connection.execute(query).one()
    removed = removed_sums(connection, Place(source_id, stage))
    return StageAudit(int(stored_bytes), ledger.gaps(connection, source_id, stage, end), int(lines), removed)


def _audit_segments(connection: Connection, source_id: int, stage: str, audited: StageAudit) -> None:
    query = select(Segment).where(Segment.source_id == source_id, Segment.stage == stage)
    lines_of = Segment.record_count + Segment.rejected_count
    columns = (Segment.start_offset, Segment.end_offset, Segment.checksum, lines_of)
    duplicates = missing = inside = 0
    for start, end, checksum, accounted in connection.execute(query.with_only_columns(*columns)).all():
        left = left_of(connection, Place(source_id, stage), start, end)
        expected = accounted - left.removed_lines if left.ranges else 0
        rows, lines = _rows_and_lines(connection, source_id, stage, (start, end))
        inside += rows
        duplicates += rows - lines + max(lines - expected, 0)
        missing += max(expected - lines, 0)
        if stage == LAKE and left.ranges:
            held = segment_bytes(connection, source_id, start, end)
            if hashlib.sha256(held).digest() != (left.rest_checksum or checksum):
                audited.damaged.append((start, end))
    # Rows that no segment holds are too many as well.
    audited.duplicate_lines = duplicates + audited.stored_lines - inside
    audited.missing_lines = missing


def _rows_and_lines(connection: Connection, source_id: int, stage: str, place: Range) -> tuple[int, int]:
    starts = _line_starts(source_id, stage, place).subquery().c.line_start
    count, lines = connection.execute(select(func.count(starts), func.count(distinct(starts)))).one()
    return count, lines


def _line_starts(source_id: int, stage: str, place: Range) -> Select[int]:
    def of(model: type[RawLog | CleanRecord | RejectedLine]) -> Select[int]:
        return select(model.line_start).where(model.within(source_id, *place))

    if stage == LAKE:
        return of(RawLog)
    both = of(CleanRecord).union_all(of(RejectedLine)).subquery()
    return select(both.c.line_start)
