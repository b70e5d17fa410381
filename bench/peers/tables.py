"""Two ordinary tables with primary keys, into which every peer stores, and what is found in them."""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, DateTime, Engine, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.peers import fields


class Base(DeclarativeBase):
    """Root of the tables."""


# No column needs quotes, which some peers do not write. What a row is made of comes from the peer;
# `time` and `diff` are what Pathway adds to each row.
class PeerRaw(Base):
    """One line as it is."""

    __tablename__ = "peer_raw"

    id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[str]
    time: Mapped[int | None] = mapped_column(BigInteger)
    diff: Mapped[int | None]


class PeerClean(Base):
    """One line, parsed."""

    __tablename__ = "peer_clean"

    id: Mapped[int] = mapped_column(primary_key=True)
    ip: Mapped[str]
    session: Mapped[str]
    user_name: Mapped[str]
    timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    method: Mapped[str]
    url: Mapped[str]
    version: Mapped[str]
    status: Mapped[int]
    size: Mapped[int]
    referer: Mapped[str]
    user_agent: Mapped[str]
    time: Mapped[int | None] = mapped_column(BigInteger)
    diff: Mapped[int | None]


class Stored(NamedTuple):
    """What both tables hold.

    Attributes:
        raw, clean: rows.
        raw_bytes: of the lines in `peer_raw`, without their newlines.
    """

    raw: int
    clean: int
    raw_bytes: int


def parse(line: str) -> PeerClean:
    """Return the row of a line in the format `combined`."""
    values: dict[str, Any] = dict(zip(fields.NAMES, fields.split(line), strict=True))
    values["timestamp"] = datetime.strptime(values["timestamp"], fields.TIME)  # noqa: DTZ007 - it has %z
    return PeerClean(**values)


@cache
def engine(url: str) -> Engine:
    """Return the engine of this process."""
    return create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))


def create(url: str) -> None:
    """Create both tables."""
    Base.metadata.create_all(engine(url))


def add(url: str, row: PeerRaw | PeerClean) -> None:
    """Store one row in a transaction of its own."""
    with Session(engine(url)) as session:
        session.add(row)
        session.commit()


def stored(url: str) -> Stored:
    """Return what both tables hold; reads them whole."""
    with engine(url).connect() as connection:
        raw, size = connection.execute(
            select(func.count(), func.coalesce(func.sum(func.octet_length(PeerRaw.line)), 0))
        ).one()
        clean = connection.execute(select(func.count()).select_from(PeerClean)).scalar_one()
    return Stored(raw, clean, int(size))


def stored_lines(url: str, lines: int) -> int:
    """Return how many lines both tables hold; before so many were tried, the key says how far it is.

    A count of every look would cost the database more than some peers do.
    """
    keys = select(func.coalesce(func.least(_last(PeerRaw), _last(PeerClean)), 0))
    with engine(url).connect() as connection:
        last = int(connection.execute(keys).scalar_one())
    if last < lines:
        return last
    found = stored(url)
    return min(found.raw, found.clean)


def _last(table: type[PeerRaw | PeerClean]) -> Any:
    # NULL of one table would be left out by least().
    return select(func.coalesce(func.max(table.id), 0)).scalar_subquery()
