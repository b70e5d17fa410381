"""What is missing right now, and since when, in figures that are cheap enough to be asked for each minute."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, Select, func, select, text

from db import ledger, partitions
from db.engine import reading
from db.ledger import CLEAN, LAKE, STAGES
from db.models import Conflict, Segment, Source

#: Sources of a stage whose segments are gone through for their first hole; others are taken to miss a tail.
MOST_SCANS = 50


@dataclass(frozen=True, slots=True)
class Gap:
    """The first byte of a source that a stage lacks.

    Attributes:
        known_at: when something behind it was stored, so that it was confirmed by then; None if nothing was.
    """

    stage: str
    key: str
    start: int
    known_at: datetime | None


@dataclass(slots=True)
class Survey:
    """What both stages hold and lack.

    Attributes:
        stored_bytes, missing_bytes: by stage.
        gaps: the first of each source and stage.
        conflicts: ranges with two contents that nobody has resolved.
        absent_partitions: partitions of this month and the next that are not there; 0 on SQLite.
    """

    stored_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    missing_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    gaps: list[Gap] = field(default_factory=list)
    conflicts: int = 0
    absent_partitions: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    id: int
    end: int
    bytes: int


_NOTHING = _Held(0, 0, 0)


class Ages:
    """Since when each gap is known: by the ledger, else since it was first seen here."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, int], datetime] = {}

    def oldest(self, gaps: Iterable[Gap], now: datetime) -> dict[str, float]:
        """Return the age in seconds of the oldest missing byte, by stage."""
        open_ = {(gap.stage, gap.key, gap.start): gap.known_at for gap in gaps}
        self._seen = {gap: self._seen.get(gap, now) for gap in open_}
        ages: dict[str, float] = {}
        for gap, known_at in open_.items():
            since = min(filter(None, (known_at, self._seen[gap])))
            ages[gap[0]] = max(ages.get(gap[0], 0.0), (now - since).total_seconds())
        return ages


def survey(engine: Engine, offsets: Mapping[str, int]) -> Survey:
    """Return what the stages hold of the confirmed `offsets` by key, and of what the other stage holds.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    found = Survey()
    with reading(engine) as connection:
        held = {stage: _held(connection, stage) for stage in STAGES}
        for stage in STAGES:
            other = held[CLEAN if stage == LAKE else LAKE]
            scans = _most_holes(held[stage])
            for key in held[stage].keys() | other.keys() | offsets.keys():
                mine = held[stage].get(key, _NOTHING)
                end = max(offsets.get(key, 0), mine.end, other.get(key, _NOTHING).end)
                found.stored_bytes[stage] += mine.bytes
                found.missing_bytes[stage] += end - mine.bytes
                if end > mine.bytes:
                    start = _first_hole(connection, stage, mine) if key in scans else mine.bytes
                    id_ = mine.id or other.get(key, _NOTHING).id
                    found.gaps.append(Gap(stage, key, start, _known_at(connection, id_, start)))
        unresolved = select(func.count()).select_from(Conflict).where(Conflict.resolved_at.is_(None))
        found.conflicts = connection.execute(unresolved).scalar_one()
        found.absent_partitions = _absent_partitions(connection)
    return found


def _most_holes(held: Mapping[str, _Held]) -> set[str]:
    """Return the keys whose segments leave most bytes out before their end; a missing tail needs no scan."""
    holes = {key: each.end - each.bytes for key, each in held.items() if each.end > each.bytes}
    return set(sorted(holes, key=holes.__getitem__, reverse=True)[:MOST_SCANS])


def _held(connection: Connection, stage: str) -> dict[str, _Held]:
    size = func.sum(Segment.end_offset - Segment.start_offset)
    query = (
        select(Source.key, Source.id, func.max(Segment.end_offset), size)
        .join(Segment, Segment.source_id == Source.id)
        .where(Segment.stage == str(stage))
        .group_by(Source.key, Source.id)
    )
    return {key: _Held(id_, end, int(stored)) for key, id_, end, stored in connection.execute(query)}


def _first_hole(connection: Connection, stage: str, held: _Held) -> int:
    gaps = ledger.gaps(connection, held.id, stage, held.end)
    return gaps[0][0] if gaps else held.end


def _known_at(connection: Connection, source_id: int, start: int) -> datetime | None:
    """Return when the first segment of either stage that reaches behind `start` was stored."""
    times = [connection.execute(_behind(source_id, stage, start)).scalar() for stage in STAGES]
    return min(filter(None, times), default=None)


def _behind(source_id: int, stage: str, start: int) -> Select[datetime]:
    own = (Segment.source_id == source_id) & (Segment.stage == str(stage))
    # Two steps in an index, however many segments there are.
    before = select(func.max(Segment.start_offset)).where(own, Segment.start_offset <= start)
    return (
        select(Segment.stored_at)
        .where(own, Segment.start_offset >= func.coalesce(before.scalar_subquery(), 0))
        .where(Segment.end_offset > start)
        .order_by(Segment.start_offset)
        .limit(1)
    )


def _absent_partitions(connection: Connection) -> int:
    if connection.dialect.name != "postgresql":
        return 0
    today = datetime.now(UTC).date()
    # Not yet the last of those that are made ahead: on the first of a month its turn has just come.
    months = {today, partitions.following(today), today + timedelta(days=1)}
    names = {partitions.partition_name(table, month) for table in partitions.TABLES for month in months}
    found = select(func.count()).select_from(text("pg_class")).where(text("relname = ANY(:names)"))
    return len(names) - connection.execute(found, {"names": sorted(names)}).scalar_one()
