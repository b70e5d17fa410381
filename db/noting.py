"""What detections saw, noted: a finding for each rule and subject, which lasts until all is quiet."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from db.findings import FindingRow, State
from pipeline.detect.sighting import SEVERITIES, Sighting

#: After so long without anything new a finding is over; what comes then is another one.
QUIET = timedelta(hours=1)
#: Places of lines that are kept: the first ones show how it began.
MOST_PLACES = 5
#: Longest subject and summary, in characters.
MOST_SUBJECT, MOST_SUMMARY = 200, 500

_Key = tuple[str, str]


def note(
    connection: Connection, source_id: int | None, sightings: Iterable[Sighting], now: datetime
) -> list[int]:
    """Note what was seen of a source; return the ids of the findings that are new."""
    lasting: dict[_Key, dict[str, Any]] = {}
    over: list[dict[str, Any]] = []
    seen = list(sightings)
    for row in _lasting(connection, source_id, sorted({each.rule for each in seen})):
        lasting[row["rule"], row["subject"]] = dict(row)
    touched: dict[_Key, None] = {}
    for each in seen:
        key = (each.rule, each.subject[:MOST_SUBJECT])
        known = lasting.get(key)
        if known is not None and each.since <= known["until"] + QUIET:
            known |= _continued(known, source_id, each, now)
        else:
            if known is not None:
                over.append(known | {"state": State.CLOSED})
            lasting[key] = _begun(source_id, each, now)
        touched[key] = None
    # First what is over: of one that lasts there is room for one.
    return _written(connection, [*over, *(lasting[key] for key in touched)])


def _lasting(connection: Connection, source_id: int | None, rules: list[str]) -> Sequence[RowMapping]:
    """Return what lasts of a source by these rules; nobody else changes it until the transaction ends."""
    own = FindingRow
    query = select(*own.__table__.columns).where(
        own.rule.in_(rules),
        own.source_id.is_(None) if source_id is None else own.source_id == source_id,
        own.state != State.CLOSED,
    )
    # Written back whole: whoever marks it as told, silences or closes it meanwhile has to wait.
    return connection.execute(query.order_by(own.id).with_for_update()).mappings().all()


def _written(connection: Connection, rows: list[dict[str, Any]]) -> list[int]:
    """Write findings, those that have an id in their place; return the ids of the others."""
    for row in rows:
        if "id" in row:
            connection.execute(update(FindingRow).where(FindingRow.id == row["id"]).values(row))
    new = [row for row in rows if "id" not in row]
    return list(connection.scalars(insert(FindingRow).returning(FindingRow.id), new)) if new else []


def _begun(source_id: int | None, seen: Sighting, now: datetime) -> dict[str, Any]:
    return {
        "source_id": source_id,
        "kind": seen.kind,
        "rule": seen.rule,
        "severity": seen.severity,
        "subject": seen.subject[:MOST_SUBJECT],
        "since": seen.since,
        "until": seen.until,
        "noticed_at": now,
        "seen_at": now,
        "count": seen.count,
        "summary": seen.summary[:MOST_SUMMARY],
        "evidence": _places(source_id, seen)[:MOST_PLACES],
        "state": State.OPEN,
    }


def _continued(
    known: Mapping[str, Any], source_id: int | None, seen: Sighting, now: datetime
) -> dict[str, Any]:
    added = [place for place in _places(source_id, seen) if place not in known["evidence"]]
    return {
        "since": min(known["since"], seen.since),
        "until": max(known["until"], seen.until),
        "seen_at": now,
        "count": known["count"] + seen.count,
        "severity": max(known["severity"], seen.severity, key=SEVERITIES.index),
        "summary": seen.summary[:MOST_SUMMARY],
        "evidence": [*known["evidence"], *added][:MOST_PLACES],
    }


def _places(source_id: int | None, seen: Sighting) -> list[dict[str, int]]:
    return [] if source_id is None else [{"source_id": source_id, "offset": each} for each in seen.offsets]


def close_quiet(connection: Connection, source_id: int, reached: datetime) -> None:
    """Close the findings of a source of which nothing came for long before its newest record."""
    _close(connection, (FindingRow.source_id == source_id) & (FindingRow.until < reached - QUIET))


def close_stale(connection: Connection, now: datetime) -> None:
    """Close the findings, of whichever source, that nothing was added to for long: no record may come."""
    _close(connection, FindingRow.seen_at < now - QUIET)


def _close(connection: Connection, condition: ColumnElement[bool]) -> None:
    lasting = condition & (FindingRow.state != State.CLOSED)
    connection.execute(update(FindingRow).where(lasting).values(state=State.CLOSED))


def close_rule(connection: Connection, source_id: int, rule: str) -> None:
    """Close what a rule has told of a source: it is so no more."""
    _close(connection, (FindingRow.source_id == source_id) & (FindingRow.rule == rule))
