"""What of findings and drifts is news: that one began and, where that was told, that it is over."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from db.drifts import DriftEvent, Noticed, described
from db.findings import Finding, FindingRow, State, columns
from db.models import Source
from db.silences import SilenceRow, enforce, silenced
from pipeline.detect.sighting import BEGAN, OVER, SEVERITIES

#: A finding that was seen last, or a drift that was noticed, longer ago is no news.
MOST_AGE = timedelta(days=1)
#: Rule, and severity, under which a drift is told.
DRIFT, DRIFT_SEVERITY = "drift", "low"
_OWN = FindingRow


def news(connection: Connection, now: datetime, *, is_told: bool) -> list[dict[str, Any]]:
    """Return what is to be told now, the worst of what began first, and mark it as told.

    What is silenced waits, and is told when it lasts longer than its silence. Where `is_told` is false nobody
    will hear of it: then its end is no news either.
    """
    enforce(connection, now)
    _forget_silenced(connection, now)
    facts = [*_begun(connection, now, is_told=is_told), *_drifts(connection, now), *_over(connection, now)]
    facts.sort(key=lambda fact: (fact["event"] == OVER, -SEVERITIES.index(fact["severity"])))
    return facts


def _forget_silenced(connection: Connection, now: datetime) -> None:
    """Mark findings that were over before their silence was: nobody is told of them."""
    over = (_OWN.state == State.CLOSED) & _OWN.alerted_at.is_(None) & silenced(now)
    connection.execute(update(_OWN).where(over).values(alerted_at=now, end_alerted_at=now))


def _begun(connection: Connection, now: datetime, *, is_told: bool) -> list[dict[str, Any]]:
    """Take the findings that began; one that is over already is told once."""
    ids = _taken(connection, _OWN.alerted_at.is_(None) & (_OWN.state != State.SILENCED), {"alerted_at": now})
    news_ = _OWN.id.in_(ids) & (_OWN.seen_at >= now - MOST_AGE)
    is_going_on = news_ & (_OWN.state != State.CLOSED) if is_told else _OWN.id.in_([])
    connection.execute(update(_OWN).where(_OWN.id.in_(ids), ~is_going_on).values(end_alerted_at=now))
    return _facts(connection, news_, BEGAN)


def _over(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """Take the findings that are over, and whose beginning was told."""
    over = (_OWN.state == State.CLOSED) & _OWN.alerted_at.is_not(None) & _OWN.end_alerted_at.is_(None)
    ids = _taken(connection, over & ~silenced(now), {"end_alerted_at": now})
    return _facts(connection, _OWN.id.in_(ids) & (_OWN.seen_at >= now - MOST_AGE), OVER)


def _taken(connection: Connection, condition: ColumnElement[bool], marks: dict[str, Any]) -> list[int]:
    # An update that returns what it took: of two at once each row goes to one.
    return list(connection.scalars(update(_OWN).where(condition).values(marks).returning(_OWN.id)))


def _facts(connection: Connection, condition: ColumnElement[bool], event: str) -> list[dict[str, Any]]:
    query = select(*columns()).outerjoin(Source, Source.id == _OWN.source_id).where(condition)
    return [_finding(Finding(*row), event) for row in connection.execute(query.order_by(_OWN.id))]


def _finding(found: Finding, event: str) -> dict[str, Any]:
    return {
        "id": f"finding {found.id}",
        "event": event,
        "kind": found.kind,
        "rule": found.rule,
        "severity": found.severity,
        "subject": found.subject,
        "since": found.since.isoformat(),
        "until": found.until.isoformat() if found.state == State.CLOSED else None,
        "summary": found.summary,
        "count": found.count,
        "source_id": found.source_id,
        "path": found.path,
    }


def _drifts(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    own = DriftEvent
    named = (SilenceRow.target == own.kind) | (SilenceRow.target == DRIFT)
    silent = select(SilenceRow.id).where(named, SilenceRow.until > now).correlate(own)
    untold = own.alerted_at.is_(None) & ~silent.exists()
    marked = update(own).where(untold).values(alerted_at=now).returning(own.id, own.noticed_at)
    ids = [row.id for row in connection.execute(marked) if row.noticed_at >= now - MOST_AGE]
    query = select(
        own.id, own.source_id, Source.path, own.kind, own.start_offset, own.end_offset, own.since,
        own.noticed_at, own.changes, own.examples,
    ).join(Source, Source.id == own.source_id).where(own.id.in_(ids))  # fmt: skip
    return [_drift(Noticed(*row)) for row in connection.execute(query.order_by(own.id))]


def _drift(drift: Noticed) -> dict[str, Any]:
    return {
        "id": f"drift {drift.id}",
        "event": BEGAN,
        "kind": DRIFT,
        "rule": DRIFT,
        "severity": DRIFT_SEVERITY,
        "subject": drift.kind,
        "since": (drift.since or drift.noticed_at).isoformat(),
        "until": None,
        "summary": described(drift),
        "count": 1,
        "source_id": drift.source_id,
        "path": drift.path,
    }
