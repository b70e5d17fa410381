"""How far a look at what the clean stage stores has gone: what the looks for drifts and attacks share.

Each keeps a row a source with `source_id`, `position`, `state` and `looked_at`.
"""

from typing import Any

from sqlalchemy import Connection, Engine, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.drifts import DriftState
from db.engine import reading
from db.findings import DetectionState
from db.ledger import CLEAN
from db.models import Segment, Source

State = type[DriftState] | type[DetectionState]


def unseen(engine: Engine, state: State) -> list[int]:
    """Return the sources that have lines not looked at yet, the longest waiting first."""
    stored = (Segment.source_id == Source.id) & (Segment.stage == CLEAN)
    new = exists().where(stored, Segment.start_offset >= func.coalesce(state.position, 0))
    query = (
        select(Source.id)
        .outerjoin(state, state.source_id == Source.id)
        .where(new.correlate(Source, state))
        .order_by(state.looked_at.is_not(None), state.looked_at, Source.id)
    )
    with reading(engine) as connection:
        return list(connection.scalars(query))


def advance(
    connection: Connection, state: State, source_id: int, position: int, values: dict[str, Any]
) -> bool:
    """Keep how far a source was looked at; return False if that has been kept from `position` already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = values | {"source_id": source_id, "position": 0, "state": {}}
    connection.execute(dialect.insert(state).on_conflict_do_nothing(), first)
    mine = (state.source_id == source_id) & (state.position == position)
    return connection.execute(update(state).where(mine).values(values)).rowcount == 1
