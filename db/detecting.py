"""The look for attacks, errors and slowness: walks over what the clean stage stored, notes what it finds.

What is looked at is read without a lock. What was found is noted, with how far the look went, in one short
transaction, which does nothing if another look was faster.
"""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, select

from db.engine import reading, transaction
from db.findings import DetectionState, Finding, FindingRow, columns
from db.looks import advance, unseen
from db.models import Source
from db.noting import close_quiet, close_rule, close_stale, note
from db.observing import StoredLines
from db.silences import enforce
from db.summaries import prefer_summaries, summarise
from db.windows import stretches
from pipeline.detect.detector import Detector
from pipeline.detect.patterns import Patterns
from pipeline.detect.rules import Rules
from pipeline.detect.sighting import Sighting

#: Lines that are asked about at once, and after which what was found is kept.
STRETCH_LINES, LINES_AT_ONCE = 20_000, 100_000
#: Rule of a source that is silent.
SILENCE = "silence"


@dataclass(slots=True)
class _Seen:
    """What a step found: how far it went, up to what time, and what it saw."""

    end: int
    reached: datetime | None
    sightings: list[Sighting]


class Look:
    """The look with certain rules; one a process, since it remembers the texts that it has judged."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self._engine = engine
        self._rules = rules
        self._patterns = Patterns(rules)

    def look(self, seconds: float) -> list[Finding]:
        """Look at what the clean stage has stored since the last look; return the findings that are new.

        What does not fit into `seconds` is left to the next look. Of two at once one looks in vain; stopped
        in the middle, the next one goes on from what was kept.

        Raises:
            DatabaseUnavailable: what was kept before stays so.
        """
        deadline = time.monotonic() + seconds
        summarise(self._engine)
        added: list[int] = []
        for source_id in unseen(self._engine, DetectionState):
            moved = True
            while moved and time.monotonic() < deadline:
                moved, new = self._step(source_id, deadline)
                added += new
        added += self._silent(datetime.now(UTC))
        return _named(self._engine, added)

    def look_again(self, source_id: int) -> list[Sighting]:
        """Return what the rules tell of all that is stored of a source, with nothing known and nothing kept.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        summarise(self._engine)
        detector, position, found = Detector(self._rules, self._patterns), 0, []
        while True:
            with reading(self._engine) as connection:
                seen = _feed(connection, source_id, position, detector, math.inf)
            found += seen.sightings
            if seen.end == position:
                return found
            position = seen.end

    def _step(self, source_id: int, deadline: float) -> tuple[bool, list[int]]:
        """Look at the next lines of a source; return whether there were any, and the ids of new findings."""
        with reading(self._engine) as connection:
            known = select(DetectionState.position, DetectionState.state)
            row = connection.execute(known.where(DetectionState.source_id == source_id)).one_or_none()
            position, stored = (row.position, row.state) if row else (0, None)
            detector = Detector(self._rules, self._patterns, stored)
            seen = _feed(connection, source_id, position, detector, deadline)
        if seen.end == position:
            return False, []
        now = datetime.now(UTC)
        with transaction(self._engine) as connection:
            values = {
                "position": seen.end,
                "state": detector.as_json(),
                "looked_at": now,
                "silent_after": detector.silent_after(now),
            }
            if not advance(connection, DetectionState, source_id, position, values):
                return False, []
            close_rule(connection, source_id, SILENCE)
            added = note(connection, source_id, seen.sightings, now)
            if seen.reached is not None:
                close_quiet(connection, source_id, seen.reached)
            enforce(connection, now)
        return True, added

    def _silent(self, now: datetime) -> list[int]:
        """Note the sources whose silence means something, unless their file goes on as another generation."""
        rule = self._rules.changes.get(SILENCE)
        own = DetectionState
        query = select(own.source_id, own.silent_after, Source.host, Source.path)
        query = query.join(Source, Source.id == own.source_id).where(own.silent_after < now)
        with reading(self._engine) as connection:
            overdue = connection.execute(query).all()
            overdue = [row for row in overdue if not _goes_on(connection, row)]
        added: list[int] = []
        with transaction(self._engine) as connection:
            for row in overdue if rule else []:
                assert rule is not None
                summary = f"{rule.meaning}: it was never silent beyond {row.silent_after.isoformat()}"
                seen = Sighting(
                    "performance", SILENCE, rule.severity, row.path, row.silent_after, now, 1, summary
                )
                added += note(connection, row.source_id, [seen], now)
            close_stale(connection, now)
            enforce(connection, now)
        return added


def _goes_on(connection: Connection, row: Any) -> bool:
    """Tell whether a later source of this host has the file's name, or the one it had before rotation."""
    later = select(Source.path).where(Source.host == row.host, Source.id > row.source_id)
    return any(row.path.startswith(path) for path in connection.scalars(later))


def _feed(
    connection: Connection, source_id: int, position: int, detector: Detector, deadline: float
) -> _Seen:
    """Feed the detector with what is stored from a position on."""
    prefer_summaries(connection)
    seen, read = _Seen(position, None, []), 0
    now = datetime.now(UTC)
    for stretch in stretches(connection, source_id, position, now, whole_lines=STRETCH_LINES):
        lines = StoredLines(connection, source_id, stretch)
        seen.sightings += detector.feed(lines)
        seen.reached = max(filter(None, (seen.reached, lines.reached)), default=None)
        seen.end = stretch.until
        read += stretch.lines
        if read >= LINES_AT_ONCE or time.monotonic() > deadline:
            break
    return seen


def _named(engine: Engine, ids: list[int]) -> list[Finding]:
    if not ids:
        return []
    query = select(*columns()).outerjoin(Source, Source.id == FindingRow.source_id)
    with reading(engine) as connection:
        rows = connection.execute(query.where(FindingRow.id.in_(ids)).order_by(FindingRow.id))
        return [Finding(*row) for row in rows]
