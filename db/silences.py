"""Silences: findings of a rule or subject of which nobody is told for a while."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, insert, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from db.engine import reading, transaction
from db.findings import FindingRow, State
from db.models import Base


class SilenceRow(Base):
    """One silence; see `Silence`."""

    __tablename__ = "silences"

    id: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[str]
    made_at: Mapped[datetime]
    until: Mapped[datetime]
    reason: Mapped[str]


@dataclass(frozen=True, slots=True)
class Silence:
    """Up to `until` nobody is told of findings of this rule or subject, nor of drifts of this kind."""

    id: int
    target: str
    made_at: datetime
    until: datetime
    reason: str


def silence(engine: Engine, target: str, until: datetime, reason: str, now: datetime) -> Silence:
    """Add a silence, and put it into force at once.

    Raises:
        DatabaseUnavailable: nothing is changed.
    """
    values = {"target": target, "made_at": now, "until": until, "reason": reason}
    with transaction(engine) as connection:
        added = connection.execute(insert(SilenceRow).values(values).returning(SilenceRow.id)).scalar_one()
        enforce(connection, now)
    return Silence(added, target, now, until, reason)


def silences(engine: Engine, now: datetime) -> list[Silence]:
    """Return the silences in force, the one that ends first at the beginning.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    query = select(*SilenceRow.__table__.columns).where(SilenceRow.until > now).order_by(SilenceRow.until)
    with reading(engine) as connection:
        return [Silence(*row) for row in connection.execute(query)]


def lift(engine: Engine, silence_id: int, now: datetime) -> bool:
    """End a silence; return False if there is none of this number.

    Raises:
        DatabaseUnavailable: nothing is changed.
    """
    with transaction(engine) as connection:
        gone = connection.execute(delete(SilenceRow).where(SilenceRow.id == silence_id)).rowcount
        enforce(connection, now)
    return bool(gone)


def silenced(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a silence in force names a finding."""
    named = or_(SilenceRow.target == FindingRow.rule, SilenceRow.target == FindingRow.subject)
    return exists().where(named, SilenceRow.until > now)


def enforce(connection: Connection, now: datetime) -> None:
    """Silence the findings that silences in force name; let those speak again that none names any more."""
    silent = silenced(now)
    for before, after, condition in (
        (State.OPEN, State.SILENCED, silent),
        (State.SILENCED, State.OPEN, ~silent),
    ):
        change = update(FindingRow).where(FindingRow.state == before, condition).values(state=after)
        connection.execute(change)
