"""What is missing right now, and since when, in figures that are cheap enough to be asked for each minute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, func, select, text

from db import ledger, partitions
from db.engine import reading
from db.ledger import CLEAN, LAKE, STAGES
from db.models import Conflict, Segment, Source


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
            for key in held[stage].keys() | other.keys() | offsets.keys():
                mine = held[stage].get(key)
                end = max(offsets.get(key, 0), *(each.end for each in (mine, other.get(key)) if each), 0)
                missing = end - (mine.bytes if mine else 0)
                found.stored_bytes[stage] += end - missing
                found.missing_bytes[stage] += missing
                if missing:
                    found.gaps.append(_first_gap(connection, stage, key, mine or other.get(key), end))
        unresolved = select(func.count()).select_from(Conflict).where(Conflict.resolved_at.is_(None))
        found.conflicts = connection.execute(unresolved).scalar_one()
        found.absent_partitions = _absent_partitions(connection)
    return found


def _held(connection: Connection, stage: str) -> dict[str, _Held]:
    size = func.sum(Segment.end_offset - Segment.start_offset)
    query = (
        select(Source.key, Source.id, func.max(Segment.end_offset), size)
        .join(Segment, Segment.source_id == Source.id)
        .where(Segment.stage == str(stage))
        .group_by(Source.key, Source.id)
    )
    return {key: _Held(id_, end, int(stored)) for key, id_, end, stored in connection.execute(query)}


def _first_gap(connection: Connection, stage: str, key: str, held: _Held | None, end: int) -> Gap:
    if held is None:
        return Gap(stage, key, 0, None)
    gaps = ledger.gaps(connection, held.id, stage, end)
    start = gaps[0][0] if gaps else end
    behind = select(func.min(Segment.stored_at)).where(
        Segment.source_id == held.id, Segment.end_offset > start
    )
    return Gap(stage, key, start, connection.execute(behind).scalar())


def _absent_partitions(connection: Connection) -> int:
    if connection.dialect.name != "postgresql":
        return 0
    today = datetime.now(UTC).date()
    # Not yet the last of those that are made ahead: on the first of a month its turn has just come.
    months = {today, partitions.following(today), today + timedelta(days=1)}
    names = {partitions.partition_name(table, month) for table in partitions.TABLES for month in months}
    found = select(func.count()).select_from(text("pg_class")).where(text("relname = ANY(:names)"))
    return len(names) - connection.execute(found, {"names": sorted(names)}).scalar_one()
