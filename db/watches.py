"""What the watch over the broker found last: problems by name, and how far its probes came."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.engine import reading, transaction
from db.models import Watch


@dataclass(frozen=True, slots=True)
class Watched:
    """An exchange or queue: when it was looked at, what was wrong, and its last probe."""

    name: str
    checked_at: datetime
    problem: str | None
    probe_id: uuid.UUID | None
    sent_at: datetime | None
    seen_at: datetime | None

    @property
    def is_awaited(self) -> bool:
        """True while its last probe has not arrived."""
        return self.sent_at is not None and self.seen_at is None


def watched(engine: Engine) -> dict[str, Watched]:
    """Return what was found last, by name.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with reading(engine) as connection:
        rows = connection.execute(select(*Watch.__table__.columns).order_by(Watch.name))
        return {row.name: Watched(*row) for row in rows}


def note(engine: Engine, problems: Mapping[str, str | None], now: datetime) -> None:
    """Keep what a look at the broker found, in words; None where all is well.

    Raises:
        DatabaseUnavailable: nothing is kept.
    """
    with transaction(engine) as connection:
        # In one order, so that of two at once one waits for the other.
        for name, problem in sorted(problems.items()):
            _put(connection, {"name": name, "checked_at": now, "problem": problem})


def note_sent(engine: Engine, names: Iterable[str], probe_id: uuid.UUID, now: datetime) -> None:
    """Keep that a probe is on its way to these queues; it replaces the one before.

    Raises:
        DatabaseUnavailable: nothing is kept.
    """
    with transaction(engine) as connection:
        for name in sorted(names):
            sent = {"probe_id": probe_id, "sent_at": now, "seen_at": None}
            _put(connection, {"name": name, "checked_at": now, **sent})


def note_seen(engine: Engine, name: str, probe_id: uuid.UUID, now: datetime) -> None:
    """Keep that a queue's probe arrived, unless another one was sent meanwhile.

    Raises:
        DatabaseUnavailable: nothing is kept.
    """
    with transaction(engine) as connection:
        mine = (Watch.name == name) & (Watch.probe_id == probe_id) & Watch.seen_at.is_(None)
        connection.execute(update(Watch).where(mine).values(seen_at=now))


def _put(connection: Connection, values: dict[str, Any]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(Watch).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
