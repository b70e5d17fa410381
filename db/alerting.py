"""The outbox: alerts that wait to be sent, and those that were."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Index, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Json
from db.engine import reading, transaction
from db.models import Base
from db.news import news

#: Most that one alert names; the rest is a number in it.
MOST_NAMED = 50
#: For how long sent alerts are kept.
KEPT = timedelta(days=30)
#: For how long an alert belongs to the process that sends it; then another one may.
LEASE = timedelta(minutes=5)
#: First and longest pause between two attempts; it doubles.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)


class Alert(Base):
    """A message to one channel: kept until it is sent, however often that fails."""

    __tablename__ = "alerts"
    __table_args__ = (Index(None, "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Name of the channel: `webhook` or `mail`.
    channel: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    made_at: Mapped[datetime]
    #: When it is tried next.
    due_at: Mapped[datetime]
    attempts: Mapped[int]
    sent_at: Mapped[datetime | None]
    #: Why the last attempt failed, in words without secrets.
    problem: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that is to be sent now."""

    id: int
    channel: str
    content: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An alert as people see it in the outbox."""

    id: int
    channel: str
    made_at: datetime
    due_at: datetime
    attempts: int
    sent_at: datetime | None
    problem: str | None


def collect(engine: Engine, channels: Sequence[str], host: str, now: datetime) -> int:
    """Put what is news (news.py) into the outbox, one alert a channel; return how many facts.

    Facts are marked as told in the same transaction: each is told once, whoever collects at the same time.

    Raises:
        DatabaseUnavailable: nothing is changed.
    """
    with transaction(engine) as connection:
        facts = news(connection, now, is_told=bool(channels))
        connection.execute(delete(Alert).where(Alert.sent_at < now - KEPT))
        if not facts or not channels:
            return len(facts)
        content = {
            "host": host,
            "made": now.isoformat(),
            "alerts": facts[:MOST_NAMED],
            "more": len(facts[MOST_NAMED:]),
        }
        common = {"content": content, "made_at": now, "due_at": now, "attempts": 0}
        connection.execute(insert(Alert), [{"channel": channel, **common} for channel in channels])
    return len(facts)


def take_due(engine: Engine, channels: Sequence[str], now: datetime) -> list[Due]:
    """Return the alerts that are to be sent now, each to one process; what that does not settle is due again.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    due = Alert.sent_at.is_(None) & (Alert.due_at <= now) & Alert.channel.in_(channels)
    values = {"due_at": now + LEASE, "attempts": Alert.attempts + 1}
    taken = update(Alert).where(due).values(values)
    with transaction(engine) as connection:
        rows = connection.execute(taken.returning(Alert.id, Alert.channel, Alert.content, Alert.attempts))
        return sorted((Due(*row) for row in rows), key=lambda alert: alert.id)


def settle(engine: Engine, alert: Due, problem: str | None, now: datetime) -> None:
    """Note that an alert was sent, or why not and when it is tried again.

    Raises:
        DatabaseUnavailable: nothing is noted; it is sent again after its lease.
    """
    if problem is None:
        values: dict[str, Any] = {"sent_at": now, "problem": None}
    else:
        pause = min(FIRST_PAUSE * 2 ** min(alert.attempts - 1, 10), LONGEST_PAUSE)
        values = {"due_at": now + pause, "problem": problem}
    with transaction(engine) as connection:
        connection.execute(update(Alert).where(Alert.id == alert.id).values(values))


def outbox(engine: Engine, limit: int = 20) -> list[Outgoing]:
    """Return the newest alerts, in the order in which they were made.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    own = Alert
    query = select(own.id, own.channel, own.made_at, own.due_at, own.attempts, own.sent_at, own.problem)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(own.id.desc()).limit(limit)).all()
    return [Outgoing(*row) for row in reversed(rows)]


def unsent(engine: Engine) -> dict[str, str | None]:
    """Return for each channel with alerts that wait after a failure why the newest of them failed.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    waiting = Alert.sent_at.is_(None) & Alert.problem.is_not(None)
    query = select(Alert.channel, Alert.problem, func.max(Alert.id)).where(waiting)
    with reading(engine) as connection:
        rows = connection.execute(query.group_by(Alert.channel, Alert.problem).order_by(func.max(Alert.id)))
        return {row[0]: row[1] for row in rows}
