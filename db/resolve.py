"""Conflicts as a person sees and resolves them: which of two contents of a range stays.

The choice is about the source's bytes, so it holds for both stages: a conflict of the other stage about the
same range is resolved with it. What loses is not dropped, it is what the conflict keeps from then on; the
same choice can therefore be made the other way round later, and a redelivery of it opens nothing again.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import zstandard
from sqlalchemy import Connection, Engine, delete, exists, select, update

from db import ledger
from db.conflicts import conflict_block
from db.counting import take_away
from db.engine import reading, transaction
from db.faults import ValuesRefused
from db.ledger import CLEAN, LAKE
from db.models import CleanRecord, Conflict, RawLog, RejectedLine, Segment, Source
from db.rebuild import LakeGap, held_bytes
from db.removals import Place, RangeRemoved, removed_ranges
from db.seals import sealed_end
from db.store import CleanStore, LakeStore
from db.summaries import prefer_summaries
from pipeline import batch
from pipeline.enrich.enrichment import NOTHING, Enrichment
from pipeline.errors import ConfigurationError, PermanentError


class Keep(StrEnum):
    """Which bytes stay: those stored first, or those that came second."""

    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A conflict: its source, stage and byte range.

    Attributes:
        resolved_at: when a person chose, None while it is open.
        first: the bytes that are stored; None where no table holds them byte for byte (clean alone).
        second: the bytes that the conflict keeps apart.
    """

    id: int
    source_id: int
    path: str
    stage: str
    start: int
    end: int
    seen_at: datetime
    resolved_at: datetime | None
    first: bytes | None
    second: bytes


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of one conflict."""

    conflict_id: int
    stage: str
    kept: Keep


def contradictions(engine: Engine, *, resolved: bool = False) -> Iterator[Contradiction]:
    """Yield the open conflicts, with `resolved` the others too, one at a time in memory.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    query = select(Conflict.id).order_by(Conflict.id)
    with reading(engine) as connection:
        ids = connection.scalars(query if resolved else query.where(Conflict.resolved_at.is_(None))).all()
    for id_ in ids:
        yield contradiction(engine, id_)


def contradiction(engine: Engine, conflict_id: int) -> Contradiction:
    """Return a conflict with both contents of its range.

    Raises:
        ConfigurationError: there is none with this id.
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        conflict = _conflict(connection, conflict_id)
        path = connection.execute(select(Source.path).where(Source.id == conflict.source_id)).scalar_one()
        return Contradiction(
            id=conflict.id,
            source_id=conflict.source_id,
            path=path,
            stage=conflict.stage,
            start=conflict.start_offset,
            end=conflict.end_offset,
            seen_at=conflict.seen_at,
            resolved_at=conflict.resolved_at,
            first=_first(connection, conflict),
            second=conflict_block(conflict),
        )


def resolve(
    engine: Engine, conflict_id: int, keep: Keep, enrichment: Enrichment = NOTHING
) -> list[Resolution]:
    """Resolve a conflict and its counterparts in the other stage, in one transaction.

    To keep the second replaces segment and rows of the range; the clean stage parses the bytes anew.

    Raises:
        ConfigurationError: there is no conflict with this id.
        LakeGap: the lake lacks bytes that stand beside the range in its segment; repair them first.
        PermanentError: the lake's bytes there are sealed (db/seals.py); only the first can be kept.
        RangeRemoved: bytes of its segments were removed on purpose; only the first can be kept.
        DatabaseUnavailable: nothing is changed.
    """
    stores = LakeStore(engine), CleanStore(engine, enrichment)
    for careful in (False, True):
        try:
            with transaction(engine) as connection:
                conflict = _conflict(connection, conflict_id, lock=True)
                return _Resolver(stores, connection, careful).run(conflict, keep)
        except ValuesRefused:
            if careful:
                raise
    raise AssertionError("unreachable: the careful try returns or raises")


def _conflict(connection: Connection, conflict_id: int, *, lock: bool = False) -> Conflict:
    query = select(*Conflict.__table__.columns).where(Conflict.id == conflict_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise ConfigurationError(f"no conflict has the id {conflict_id}: see `conflicts list`")
    return Conflict(**row)


def _first(connection: Connection, conflict: Conflict) -> bytes | None:
    """Return the bytes that the conflict's stage has stored, None where they are not to be had."""
    start, end = conflict.start_offset, conflict.end_offset
    held = held_bytes(connection, conflict.source_id, start, end)
    if conflict.stage == LAKE:
        return held
    segments = ledger.overlapping(connection, conflict.source_id, conflict.stage, start, end)
    # Clean holds no bytes: the lake's are its own where the checksums of its segments say so.
    whole = (held_bytes(connection, conflict.source_id, s.start, s.end) for s in segments)
    if all(
        block is not None and _digest(block) == s.checksum for block, s in zip(whole, segments, strict=True)
    ):
        return held
    stored = {segment.checksum for segment in segments if (segment.start, segment.end) == (start, end)}
    return next((b for b in _kept_apart(connection, conflict) if _digest(b) in stored), None)


def _kept_apart(connection: Connection, conflict: Conflict) -> Iterator[bytes]:
    for other in _about_the_same(connection, conflict):
        yield conflict_block(other)


def _about_the_same(connection: Connection, conflict: Conflict) -> list[Conflict]:
    """Return the conflicts of the other stage about the same range."""
    query = select(*Conflict.__table__.columns).where(
        Conflict.source_id == conflict.source_id,
        Conflict.stage != conflict.stage,
        Conflict.start_offset == conflict.start_offset,
        Conflict.end_offset == conflict.end_offset,
    )
    return [Conflict(**row) for row in connection.execute(query.order_by(Conflict.id)).mappings()]


def _digest(block: bytes) -> bytes:
    return hashlib.sha256(block).digest()


class _Resolver:
    """One transaction of choices."""

    def __init__(self, stores: tuple[LakeStore, CleanStore], connection: Connection, careful: bool) -> None:
        self._connection = connection
        self._stores = {store.stage: store for store in stores}
        self._careful = careful

    def run(self, conflict: Conflict, keep: Keep) -> list[Resolution]:
        prefer_summaries(self._connection)
        choices = [(conflict, keep), *self._counterparts(conflict, keep)]
        for each, choice in choices:
            self._settle(each, choice)
        return [Resolution(each.id, each.stage, choice) for each, choice in choices]

    def _counterparts(self, conflict: Conflict, keep: Keep) -> Iterator[tuple[Conflict, Keep]]:
        first = _first(self._connection, conflict)
        winner = conflict.checksum if keep is Keep.SECOND else first and _digest(first)
        for other in _about_the_same(self._connection, conflict):
            stored = _first(self._connection, other)
            if other.checksum == winner:
                yield other, Keep.SECOND
            elif (stored is not None and _digest(stored) == winner) or (
                keep is Keep.FIRST and other.checksum == conflict.checksum
            ):
                yield other, Keep.FIRST

    def _settle(self, conflict: Conflict, keep: Keep) -> None:
        loser = None
        if keep is Keep.SECOND:
            loser = _first(self._connection, conflict)
            self._replace(conflict, conflict_block(conflict))
        now = datetime.now(UTC)
        own = update(Conflict).where(Conflict.id == conflict.id)
        self._connection.execute(own.values(resolved_at=now))
        if loser is not None and not self._is_kept(conflict, _digest(loser)):
            self._connection.execute(own.values(checksum=_digest(loser), block=zstandard.compress(loser)))

    def _is_kept(self, conflict: Conflict, checksum: bytes) -> bool:
        same = (
            exists()
            .where(Conflict.source_id == conflict.source_id, Conflict.stage == conflict.stage)
            .where(Conflict.start_offset == conflict.start_offset, Conflict.end_offset == conflict.end_offset)
            .where(Conflict.checksum == checksum)
        )
        return bool(self._connection.execute(select(same)).scalar_one())

    def _replace(self, conflict: Conflict, block: bytes) -> None:
        """Put a block in the place of what the stage has stored of its range."""
        start, end = conflict.start_offset, conflict.end_offset
        place = (conflict.source_id, conflict.stage, start, end)
        # Locked, or a replay at the same moment would leave its new rows beside ours.
        segments = ledger.overlapping(self._connection, *place, lock=True)
        low = min([start, *(segment.start for segment in segments)])
        high = max([end, *(segment.end for segment in segments)])
        if conflict.stage == LAKE and (end_ := sealed_end(self._connection, conflict.source_id)) > low:
            raise PermanentError(
                f"source {conflict.source_id}: bytes up to {end_} of the lake are sealed, and what is sealed "
                "does not change: keep the first; the conflict keeps the second apart"
            )
        place_ = Place(conflict.source_id, conflict.stage)
        if removed := removed_ranges(self._connection, place_, low, high):
            raise RangeRemoved(
                place_, removed, "what is stored beside them cannot be replaced; keep the first"
            )
        whole = self._beside(conflict, low, start) + block + self._beside(conflict, end, high)
        source = self._source(conflict.source_id)
        self._delete(conflict, low, high)
        store = self._stores[conflict.stage]
        store.within(self._connection, batch.Batch(source, low, whole), careful=self._careful)

    def _beside(self, conflict: Conflict, start: int, end: int) -> bytes:
        held = held_bytes(self._connection, conflict.source_id, start, end)
        if held is None:
            raise LakeGap(conflict.source_id, [(start, end)])
        return held

    def _source(self, source_id: int) -> batch.Source:
        query = select(*Source.__table__.columns).where(Source.id == source_id)
        row = dict(self._connection.execute(query).mappings().one())
        fields = {name: row[name] for name in ("key", "host", "path", "device", "inode", "generation")}
        return batch.Source(**fields, format=row["format"] or "auto")

    def _delete(self, conflict: Conflict, low: int, high: int) -> None:
        if conflict.stage == CLEAN:
            take_away(self._connection, conflict.source_id, low, high)
        for model in (RawLog,) if conflict.stage == LAKE else (CleanRecord, RejectedLine):
            self._connection.execute(delete(model).where(model.within(conflict.source_id, low, high)))
        self._connection.execute(
            delete(Segment).where(
                Segment.source_id == conflict.source_id,
                Segment.stage == conflict.stage,
                Segment.start_offset >= low,
                Segment.start_offset < high,
            )
        )
