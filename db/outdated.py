"""Findings that are closed, and drifts, removed when they were noticed long enough ago.

The newest one of each stays: SQLite would give its number to the next one, and alerts are known by it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, func, select, true

from db.drifts import DriftEvent
from db.engine import reading, transaction
from db.findings import FindingRow, State
from db.models import Source

_Noticed = type[FindingRow] | type[DriftEvent]
#: What rules call them; when each was noticed last, and which of them may go.
_KINDS: dict[str, tuple[_Noticed, Any, ColumnElement[bool]]] = {
    "findings": (FindingRow, FindingRow.seen_at, FindingRow.state == State.CLOSED),
    "drifts": (DriftEvent, DriftEvent.noticed_at, true()),
}


def remove_outdated(
    engine: Engine, days: Callable[[str, str], int | None], now: datetime, *, dry_run: bool
) -> dict[str, int]:
    """Remove closed findings and drifts that are old enough; return how many of each, by their names.

    `days` tells for the path of a source, empty where there is none, and such a name how many days they are
    kept, None for ever. A dry run changes nothing.

    Raises:
        DatabaseUnavailable: what was removed before stays removed.
        ConfigurationError: this role may not delete rows.
    """
    return {name: sum(_removed(engine, name, days, now, dry_run=dry_run)) for name in _KINDS}


def _removed(
    engine: Engine, name: str, days: Callable[[str, str], int | None], now: datetime, *, dry_run: bool
) -> list[int]:
    own, noticed, is_over = _KINDS[name]
    oldest = select(own.source_id, Source.path, func.min(noticed)).outerjoin(
        Source, Source.id == own.source_id
    )
    with reading(engine) as connection:
        rows = connection.execute(oldest.where(is_over).group_by(own.source_id, Source.path)).all()
    counts = []
    is_followed = own.id < select(func.max(own.id)).scalar_subquery()
    for source_id, path, first in rows:
        kept = days(path or "", name)
        if kept is None or first >= now - timedelta(days=kept):
            continue
        of_source = own.source_id.is_(None) if source_id is None else own.source_id == source_id
        old = is_over & of_source & (noticed < now - timedelta(days=kept)) & is_followed
        with reading(engine) if dry_run else transaction(engine) as connection:
            if dry_run:
                counts.append(
                    int(connection.execute(select(func.count()).select_from(own).where(old)).scalar_one())
                )
            else:
                counts.append(connection.execute(delete(own).where(old)).rowcount)
    return counts
