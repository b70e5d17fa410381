"""Seals: how far the chain over the lake's segments is closed, per source; rows are only ever added."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, Engine, ForeignKey, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from db.chain import Link, Sealed, first_link, is_signed, last_link, marks_of, signature
from db.engine import reading, transaction
from db.ledger import LAKE
from db.models import Base, Conflict, Segment, Source

#: Most segments under one seal: 80 kB of marks.
SEGMENTS_OF_SEAL = 10_000


class Seal(Base):
    """One seal of a source; see `db.chain`."""

    __tablename__ = "seals"

    source_id: Mapped[int] = mapped_column(ForeignKey(Source.id), primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start_offset: Mapped[int] = mapped_column(BigInteger)
    end_offset: Mapped[int] = mapped_column(BigInteger)
    marks: Mapped[bytes]
    hash: Mapped[bytes]
    #: NULL where no key was set.
    signature: Mapped[bytes | None]
    sealed_at: Mapped[datetime]


class _Numbered(NamedTuple):
    """A source's number and key."""

    id: int
    key: str


def sealed_end(connection: Connection, source_id: int) -> int:
    """Return the byte up to which a source is sealed."""
    query = select(func.max(Seal.end_offset)).where(Seal.source_id == source_id)
    return connection.execute(query).scalar() or 0


def close(engine: Engine, keys: Sequence[bytes] = (), until: datetime | None = None) -> int:
    """Seal what the lake stored before `until`, by default before this day (UTC); return how many seals.

    A source is sealed up to its first gap, the first segment that is younger, or the first open conflict. The
    first of the keys signs; a source whose last seal has no signature of it gets one that seals nothing new,
    unless that last one is signed by none of the keys. Of two at once one adds nothing.

    Raises:
        DatabaseUnavailable: what was sealed before stays so.
    """
    now = datetime.now(UTC)
    before = until or datetime.combine(now.date(), time(), UTC)
    with reading(engine) as connection:
        query = select(Source.id, Source.key).order_by(Source.id)
        sources = [_Numbered(*row) for row in connection.execute(query)]
    return sum(_close_source(engine, source, keys, before) for source in sources)


def _close_source(engine: Engine, source: _Numbered, keys: Sequence[bytes], before: datetime) -> int:
    seals = 0
    while True:
        with transaction(engine) as connection:
            last = last_seal(connection, source.id)
            links = _next_links(connection, source.id, last.end_offset if last else 0, before)
            if not links and not _wants_signature(source.key, last, keys):
                return seals
            seals += _add(connection, source, last, links, keys)
        if len(links) < SEGMENTS_OF_SEAL:
            return seals


def last_seal(connection: Connection, source_id: int) -> Seal | None:
    """Return the last seal of a source."""
    query = select(*Seal.__table__.columns).where(Seal.source_id == source_id)
    row = connection.execute(query.order_by(Seal.number.desc()).limit(1)).mappings().first()
    return None if row is None else Seal(**row)


def sealed(seal: Seal) -> Sealed:
    """Return what a seal says."""
    return Sealed(seal.number, seal.start_offset, seal.end_offset, seal.marks, seal.hash, seal.sealed_at)


def links_of(
    connection: Connection, source_id: int, start: int, end: int | None = None, most: int | None = None
) -> list[Link]:
    """Return the lake's segments that start in [start, end), in order."""
    query = select(
        Segment.start_offset, Segment.end_offset, Segment.line_count, Segment.stored_at, Segment.checksum
    ).where(Segment.source_id == source_id, Segment.stage == LAKE, Segment.start_offset >= start)
    if end is not None:
        query = query.where(Segment.start_offset < end)
    return [Link(*row) for row in connection.execute(query.order_by(Segment.start_offset).limit(most))]


def _next_links(connection: Connection, source_id: int, position: int, before: datetime) -> list[Link]:
    """Return what follows on from a position and can be sealed."""
    conflict = select(func.min(Conflict.start_offset)).where(
        Conflict.source_id == source_id, Conflict.resolved_at.is_(None), Conflict.end_offset > position
    )
    contradicted = connection.execute(conflict).scalar()
    links = []
    for link in links_of(connection, source_id, position, most=SEGMENTS_OF_SEAL):
        reached = contradicted is not None and link.end > contradicted
        if link.start != position or link.stored_at >= before or reached:
            break
        links.append(link)
        position = link.end
    return links


def _wants_signature(key: str, last: Seal | None, keys: Sequence[bytes]) -> bool:
    """Tell whether a last seal lacks a signature of the first key, and deserves one."""
    if last is None or not keys or is_signed(key, sealed(last), last.signature, keys[:1]):
        return False
    return last.signature is None or is_signed(key, sealed(last), last.signature, keys)


def _add(
    connection: Connection,
    source: _Numbered,
    last: Seal | None,
    links: Sequence[Link],
    keys: Sequence[bytes],
) -> int:
    leaves = [link.leaf for link in links]
    start = last.end_offset if last else 0
    new = Sealed(
        (last.number if last else 0) + 1,
        start,
        links[-1].end if links else start,
        marks_of(leaves),
        last_link(last.hash if last else first_link(source.key), leaves),
        datetime.now(UTC),
    )
    values = {
        "source_id": source.id,
        "number": new.number,
        "start_offset": new.start,
        "end_offset": new.end,
        "marks": new.marks,
        "hash": new.hash,
        "signature": signature(source.key, new, keys[0]) if keys else None,
        "sealed_at": new.sealed_at,
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return connection.execute(dialect.insert(Seal).on_conflict_do_nothing(), values).rowcount
