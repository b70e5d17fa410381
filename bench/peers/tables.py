"""Two ordinary ORM tables and an ordinary parser: what the peers that store row by row have in common."""

import re
from datetime import datetime
from functools import cache

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

_LINE = re.compile(
    r'(\S+) (\S+) (\S+) \[([^\]]+)\] "(\S+) (\S+) ([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"'
)


class Base(DeclarativeBase):
    """Root of the tables."""


class PeerRaw(Base):
    """One line as it is."""

    __tablename__ = "peer_raw"

    id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[str]


class PeerClean(Base):
    """One line, parsed."""

    __tablename__ = "peer_clean"

    id: Mapped[int] = mapped_column(primary_key=True)
    ip: Mapped[str]
    session: Mapped[str]
    user: Mapped[str]
    timestamp: Mapped[datetime]
    method: Mapped[str]
    url: Mapped[str]
    version: Mapped[str]
    status: Mapped[int]
    size: Mapped[int]
    referer: Mapped[str]
    user_agent: Mapped[str]


def parse(line: str) -> PeerClean:
    """Return the row of a line in the format `combined`."""
    match = _LINE.fullmatch(line)
    assert match is not None, "generated lines parse"
    ip, session, user, time, method, url, version, status, size, referer, agent = match.groups()
    return PeerClean(
        ip=ip,
        session=session,
        user=user,
        timestamp=datetime.strptime(time, "%d/%b/%Y:%H:%M:%S %z"),
        method=method,
        url=url,
        version=version,
        status=int(status),
        size=0 if size == "-" else int(size),
        referer=referer,
        user_agent=agent,
    )


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


def stored_lines(url: str) -> int:
    """Return how many lines both tables hold."""
    with engine(url).connect() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (PeerRaw, PeerClean)
        ]
    return min(counts)
