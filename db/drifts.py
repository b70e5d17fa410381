"""Drifts of the sources: what was noticed, and how far each source has been looked at."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Engine, ForeignKey, Index, func, select
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Json
from db.engine import reading
from db.models import Base, Source
from pipeline.drift.measure import LENGTH


class DriftState(Base):
    """How far the clean stage of a source has been looked at, and what the detector knows of it."""

    __tablename__ = "drift_states"

    source_id: Mapped[int] = mapped_column(ForeignKey(Source.id), primary_key=True, autoincrement=False)
    #: Byte of the source from which on nothing has been looked at.
    position: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[dict[str, Any]] = mapped_column(Json)
    looked_at: Mapped[datetime]


class DriftEvent(Base):
    """One drift of a source; see `pipeline.drift.detector.Drift`."""

    __tablename__ = "drift_events"
    __table_args__ = (Index(None, "noticed_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey(Source.id))
    kind: Mapped[str]
    start_offset: Mapped[int] = mapped_column(BigInteger)
    end_offset: Mapped[int] = mapped_column(BigInteger)
    #: Time of the records of the first window from `start_offset` on.
    since: Mapped[datetime | None]
    noticed_at: Mapped[datetime]
    changes: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    #: `before` and `after`, each a list of `offset` and `line`.
    examples: Mapped[dict[str, Any]] = mapped_column(Json)
    #: When an alert of it was put into the outbox (news.py).
    alerted_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Noticed:
    """A drift as people read it; `id` is None for one that was found again and is not stored."""

    id: int | None
    source_id: int
    path: str
    kind: str
    start: int
    end: int
    since: datetime | None
    noticed_at: datetime
    changes: list[dict[str, Any]]
    examples: dict[str, list[dict[str, Any]]]


def noticed(
    engine: Engine, *, source_id: int | None = None, since: datetime | None = None, limit: int = 100
) -> list[Noticed]:
    """Return the newest drifts in the order in which they were noticed.

    Args:
        engine: on a database whose schema is up to date.
        source_id: only of this source.
        since: only those that were noticed then or later.
        limit: how many.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    own = DriftEvent
    query = select(
        own.id, own.source_id, Source.path, own.kind, own.start_offset, own.end_offset, own.since,
        own.noticed_at, own.changes, own.examples,
    ).join(Source, Source.id == own.source_id)  # fmt: skip
    if source_id is not None:
        query = query.where(own.source_id == source_id)
    if since is not None:
        query = query.where(own.noticed_at >= since)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(own.id.desc()).limit(limit)).all()
    return [Noticed(*row) for row in reversed(rows)]


def count_noticed(engine: Engine, since: datetime) -> int:
    """Return how many drifts were noticed at a moment or later.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        query = select(func.count()).where(DriftEvent.noticed_at >= since)
        return connection.execute(query).scalar_one()


def described(drift: Noticed) -> str:
    """Return what changed, from what to what, and since when, in a line without the text of any log line."""
    first, *others = drift.changes
    also = f" and {len(others)} more" if others else ""
    since = f" ({drift.since.isoformat()})" if drift.since else ""
    before, after = (quantity(first["name"], first[key]) for key in ("before", "after"))
    return f"{first['name']} {before} → {after}{also}, since byte {drift.start}{since}"


def quantity(name: str, value: float) -> str:
    """Return the value of a measure for people: bytes or per cent."""
    return f"{value:.0f}" if name == LENGTH else f"{100 * value:.2f} %"
