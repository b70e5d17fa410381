"""Whether a range is safely stored: the audit of a few segments, asked before anything of them is removed."""

from sqlalchemy import Connection, func, select

from db import ledger
from db.ledger import STAGES
from db.models import Conflict
from db.remains import remains
from db.removals import Place
from db.removing import MODELS, take_rows


def objection(connection: Connection, source_id: int, low: int, high: int) -> str | None:
    """Return what speaks against removing rows of [low, high), None if its audit passes.

    It passes if both stages have stored all of it, the rows of its segments are those of the ledger, and no
    conflict about it is open.
    """
    if _is_contradicted(connection, source_id, low, high):
        return "a conflict about it is open"
    for stage in STAGES:
        place = Place(source_id, stage)
        segments = remains(connection, place, low, high)
        if ledger.complement([(each.start, each.end) for each in segments], low, high):
            return f"the {stage} stage has not stored all of it"
        span = (segments[0].start, segments[-1].end)
        found = take_rows(connection, place, [span], MODELS[stage], delete_=False)
        if sum(part.line_count for part in found) != sum(each.lines for each in segments):
            return f"the rows of the {stage} stage are not those of the ledger"
    return None


def _is_contradicted(connection: Connection, source_id: int, low: int, high: int) -> bool:
    query = select(func.count()).where(
        Conflict.source_id == source_id,
        Conflict.resolved_at.is_(None),
        Conflict.start_offset < high,
        Conflict.end_offset > low,
    )
    return bool(connection.execute(query).scalar_one())
