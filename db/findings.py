"""Findings: what the detections noticed, and for how long it lasted; told once while it lasts.

detection_states   how far each source has been looked at, and what the detections know of it
findings           one row for each rule and subject while it lasts (noting.py)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Engine, ForeignKey, Index, Select, func, or_, select, text
from sqlalchemy.orm import Mapped, mapped_column

from db.columns import Json
from db.engine import reading
from db.models import Base, RawLog, Source
from pipeline.detect.sighting import SEVERITIES

#: Characters of an example line that are given out.
LINE_LENGTH = 500
_LASTING = text("state <> 'closed'")


class State(StrEnum):
    """Whether a finding lasts; a silenced one lasts, and nobody is told (silences.py)."""

    OPEN = "open"
    SILENCED = "silenced"
    CLOSED = "closed"


class DetectionState(Base):
    """How far the clean stage of a source has been looked at, and what the detections know of it."""

    __tablename__ = "detection_states"

    source_id: Mapped[int] = mapped_column(ForeignKey(Source.id), primary_key=True, autoincrement=False)
    #: Byte of the source from which on nothing has been looked at.
    position: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[dict[str, Any]] = mapped_column(Json)
    looked_at: Mapped[datetime]
    #: From when on the silence of the source is told; NULL: it means nothing.
    silent_after: Mapped[datetime | None]


class FindingRow(Base):
    """One finding; see `Finding`. While it lasts there is one of its rule, source and subject."""

    __tablename__ = "findings"
    __table_args__ = (
        Index(
            "ix_findings_lasting",
            "rule",
            "subject",
            "source_id",
            unique=True,
            postgresql_where=_LASTING,
            sqlite_where=_LASTING,
        ),
        Index(None, "seen_at"),
        Index(None, "until"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    #: NULL: of no single source.
    source_id: Mapped[int | None] = mapped_column(ForeignKey(Source.id))
    kind: Mapped[str]
    rule: Mapped[str]
    severity: Mapped[str]
    subject: Mapped[str]
    since: Mapped[datetime]
    until: Mapped[datetime]
    noticed_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(BigInteger)
    summary: Mapped[str]
    #: Places of some lines, each `source_id` and `offset`.
    evidence: Mapped[list[dict[str, int]]] = mapped_column(Json)
    state: Mapped[str]
    #: When an alert of its beginning, and of its end, was put into the outbox, or was found to be no news.
    alerted_at: Mapped[datetime | None]
    end_alerted_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding as people read it. `subject` and `summary` hold text of log lines: inert is what shows them.

    Attributes:
        source_id, path: of the source; None where it is of no single one.
        subject: what it is about: an address, a user, a host, a path, or `all lines`.
        since, until: times of the first and last record that belong to it.
        noticed_at, seen_at: when it was noticed first and last.
        count: how many records, or looks, it was noticed in.
        evidence: places of some lines, each `source_id` and `offset`.
    """

    id: int
    source_id: int | None
    path: str | None
    kind: str
    rule: str
    severity: str
    subject: str
    since: datetime
    until: datetime
    noticed_at: datetime
    seen_at: datetime
    count: int
    summary: str
    evidence: list[dict[str, int]]
    state: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which findings are asked for; None is any.

    Attributes:
        seen_since: those that were noticed then or later.
        since, until: those that lasted within [since, until), by the times of their records.
        lasting: only those that are not closed.
    """

    source_id: int | None = None
    kind: str | None = None
    seen_since: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    lasting: bool = False
    limit: int = 100


def findings(engine: Engine, wanted: Wanted = Wanted()) -> list[Finding]:
    """Return the newest findings that are wanted, the one noticed last at the end.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    query = _chosen(wanted).order_by(FindingRow.seen_at.desc(), FindingRow.id.desc()).limit(wanted.limit)
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [Finding(*row) for row in reversed(rows)]


def _chosen(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    own = FindingRow
    query: Select[*tuple[Any, ...]] = select(*columns()).outerjoin(Source, Source.id == own.source_id)
    conditions: tuple[tuple[Any, Callable[[Any], ColumnElement[bool]]], ...] = (
        (wanted.source_id, own.source_id.__eq__),
        (wanted.kind, own.kind.__eq__),
        (wanted.seen_since, own.seen_at.__ge__),
        (wanted.since, own.until.__ge__),
        (wanted.until, own.since.__lt__),
        (State.CLOSED if wanted.lasting else None, own.state.__ne__),
    )
    for given, condition in conditions:
        if given is not None:
            query = query.where(condition(given))
    return query


def columns() -> list[Any]:
    """Return the columns of `Finding`, in its order, where sources are joined."""
    own = FindingRow
    return [
        own.id, own.source_id, Source.path, own.kind, own.rule, own.severity, own.subject, own.since,
        own.until, own.noticed_at, own.seen_at, own.count, own.summary, own.evidence, own.state,
    ]  # fmt: skip


def count_open(engine: Engine) -> dict[str, int]:
    """Return how many findings are open, by severity, the worst first; without those that are silenced.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    own = FindingRow
    query = select(own.severity, func.count()).where(own.state == State.OPEN).group_by(own.severity)
    with reading(engine) as connection:
        counts = {row[0]: int(row[1]) for row in connection.execute(query)}
    return {severity: counts[severity] for severity in reversed(SEVERITIES) if severity in counts}


def example_lines(engine: Engine, chosen: Sequence[Finding]) -> dict[int, list[dict[str, Any]]]:
    """Return for each finding, by its id, its lines that the lake holds: `source_id`, `offset` and `line`.

    Raises:
        DatabaseUnavailable: the database does not answer, or this role may not read the lake.
    """
    places = {(place["source_id"], place["offset"]) for each in chosen for place in each.evidence}
    if not places:
        return {each.id: [] for each in chosen}
    own = RawLog
    wanted = or_(*((own.source_id == source) & (own.line_start == offset) for source, offset in places))
    query = select(own.source_id, own.line_start, func.substr(own.line, 1, LINE_LENGTH)).where(wanted)
    with reading(engine) as connection:
        lines = {(row[0], row[1]): str(row[2]) for row in connection.execute(query)}
    return {
        each.id: [
            place | {"line": lines[key]}
            for place in each.evidence
            if (key := (place["source_id"], place["offset"])) in lines
        ]
        for each in chosen
    }
