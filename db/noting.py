"""What detections saw, noted: a finding for each rule and subject, which lasts until all is quiet."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, or_, select, update

from db.findings import FindingRow, State
from pipeline.detect.sighting import SEVERITIES, Sighting

#: After so long without anything new a finding is over; what comes then is another one.
QUIET = timedelta(hours=1)
#: Places of lines that are kept: the first ones show how it began.
MOST_PLACES = 5
#: Longest subject and summary, in characters.
MOST_SUBJECT, MOST_SUMMARY = 200, 500


def note(
    connection: Connection, source_id: int | None, sightings: Iterable[Sighting], now: datetime
) -> list[int]:
    """Note what was seen of a source; return the ids of the findings that are new."""
    return [added for each in sightings if (added := _noted(connection, source_id, each, now)) is not None]


def _noted(connection: Connection, source_id: int | None, seen: Sighting, now: datetime) -> int | None:
    subject = seen.subject[:MOST_SUBJECT]
    lasting = connection.execute(
        select(*FindingRow.__table__.columns).where(
            FindingRow.rule == seen.rule,
            FindingRow.subject == subject,
            FindingRow.source_id.is_(None) if source_id is None else FindingRow.source_id == source_id,
            FindingRow.state != State.CLOSED,
        )
    ).one_or_none()
    if lasting is not None:
        if seen.since <= lasting.until + QUIET:
            _continue(connection, lasting, source_id, seen, now)
            return None
        _close(connection, FindingRow.id == lasting.id)
    values = {
        "source_id": source_id,
        "kind": seen.kind,
        "rule": seen.rule,
        "severity": seen.severity,
        "subject": subject,
        "since": seen.since,
        "until": seen.until,
        "noticed_at": now,
        "seen_at": now,
        "count": seen.count,
        "summary": seen.summary[:MOST_SUMMARY],
        "evidence": _places(source_id, seen)[:MOST_PLACES],
        "state": State.OPEN,
    }
    return connection.execute(insert(FindingRow).values(values).returning(FindingRow.id)).scalar_one()


def _continue(
    connection: Connection, lasting: Row[Any], source_id: int | None, seen: Sighting, now: datetime
) -> None:
    known = [place for place in lasting.evidence if place not in _places(source_id, seen)]
    worse = max(lasting.severity, seen.severity, key=SEVERITIES.index)
    values = {
        "since": min(lasting.since, seen.since),
        "until": max(lasting.until, seen.until),
        "seen_at": now,
        "count": FindingRow.count + seen.count,
        "severity": worse,
        "summary": seen.summary[:MOST_SUMMARY],
        "evidence": (known + _places(source_id, seen))[:MOST_PLACES],
    }
    connection.execute(update(FindingRow).where(FindingRow.id == lasting.id).values(values))


def _places(source_id: int | None, seen: Sighting) -> list[dict[str, int]]:
    return [] if source_id is None else [{"source_id": source_id, "offset": each} for each in seen.offsets]


def close_quiet(connection: Connection, source_id: int, reached: datetime | None, now: datetime) -> None:
    """Close the findings of a source of which nothing came for long.

    Args:
        connection: in a transaction.
        source_id: of the source.
        reached: time of its newest record that was looked at.
        now: the clock, which ends what no record ends.
    """
    over = FindingRow.seen_at < now - QUIET
    if reached is not None:
        over = or_(over, FindingRow.until < reached - QUIET)
    _close(connection, (FindingRow.source_id == source_id) & over)


def _close(connection: Connection, condition: ColumnElement[bool]) -> None:
    lasting = condition & (FindingRow.state != State.CLOSED)
    connection.execute(update(FindingRow).where(lasting).values(state=State.CLOSED))


def close_rule(connection: Connection, source_id: int, rule: str) -> None:
    """Close what a rule has told of a source: it is so no more."""
    _close(connection, (FindingRow.source_id == source_id) & (FindingRow.rule == rule))
