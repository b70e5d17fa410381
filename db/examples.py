"""Example lines of a drift: some before it began, and some of what is different since."""

from typing import Any

from sqlalchemy import Connection, Select, select

from db.measured import REJECTED, condition_of
from db.models import CleanRecord, RawLog, RejectedLine
from pipeline.drift.detector import Drift

#: Lines on either side, and characters of a line that are kept.
MOST, LENGTH = 3, 500
#: How far back from a drift lines before it are looked for, in bytes.
BACK = 256 << 10


def examples(connection: Connection, source_id: int, drift: Drift) -> dict[str, list[dict[str, Any]]]:
    """Return up to three lines before a drift and three since, as far as the lake holds them."""
    back = max(drift.start - BACK, 0)
    place = (RawLog.line_start >= back) & (RawLog.line_start < drift.start)
    last = select(RawLog.line_start, RawLog.line).where(RawLog.source_id == source_id, place)
    before = _found(connection, last.order_by(RawLog.line_start.desc()).limit(MOST))
    return {"before": before[::-1], "after": _since(connection, source_id, drift)}


def _since(connection: Connection, source_id: int, drift: Drift) -> list[dict[str, Any]]:
    change = drift.changes[0]
    rose = change.after > change.before
    if change.name == REJECTED and rose:
        own, place = RejectedLine, RejectedLine.line_start
        query = select(place, own.line).where(own.source_id == source_id)
        return _found(
            connection, query.where(place >= drift.start, place < drift.end).order_by(place).limit(MOST)
        )
    places: list[int] = list(drift.places[:MOST])
    condition = condition_of(change.name, rose=rose)
    if not places and condition is not None:
        found = select(CleanRecord.line_start).where(
            CleanRecord.within(source_id, drift.start, drift.end), condition
        )
        places = list(connection.scalars(found.order_by(CleanRecord.line_start).limit(MOST)))
    lines = select(RawLog.line_start, RawLog.line).where(RawLog.source_id == source_id)
    lines = lines.where(RawLog.line_start >= drift.start, RawLog.line_start < drift.end)
    if places:
        lines = lines.where(RawLog.line_start.in_(places))
    return _found(connection, lines.order_by(RawLog.line_start).limit(MOST))


def _found(connection: Connection, query: Select[int, str]) -> list[dict[str, Any]]:
    return [{"offset": start, "line": line[:LENGTH]} for start, line in connection.execute(query)]
