"""The look for drifts: walks over what the clean stage has stored of each source, and keeps what it finds.

What is counted is read without a lock. It is kept, with how far it went, in one short transaction, which
does nothing if another look was faster.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, insert, select

from db.drifts import DriftEvent, DriftState, Noticed
from db.engine import reading, transaction
from db.examples import examples
from db.looks import advance, unseen
from db.models import Source
from db.summaries import prefer_summaries, summarise
from db.windows import stretches, windows
from pipeline.drift.detector import Detector

#: Lines after which what was seen is kept.
LINES_AT_ONCE = 100_000


def look(engine: Engine, seconds: float) -> list[Noticed]:
    """Look at what the clean stage has stored since the last look; return the drifts, which are kept.

    What does not fit into `seconds` is left to the next look. Of two at once one looks in vain; stopped in
    the middle, the next one goes on from what was kept.

    Raises:
        DatabaseUnavailable: what was kept before stays so.
    """
    deadline = time.monotonic() + seconds
    summarise(engine)
    found: list[Noticed] = []
    for source_id in unseen(engine, DriftState):
        position, end = -1, 0
        while position != end and time.monotonic() < deadline:
            position, end, noticed = _step(engine, source_id, deadline)
            found += noticed
    return found


def look_again(engine: Engine, source_id: int) -> Iterator[Noticed]:
    """Yield the drifts of a source from its first line on, with nothing known and nothing kept.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    summarise(engine)
    detector, position, end = Detector(), -1, 0
    while position != end:
        position = end
        with reading(engine) as connection:
            end, noticed = _feed(connection, source_id, position, detector, math.inf)
        yield from noticed


def _step(engine: Engine, source_id: int, deadline: float) -> tuple[int, int, list[Noticed]]:
    """Look at the next lines of a source; return from where, how far, and the drifts that are kept."""
    with reading(engine) as connection:
        known = select(DriftState.position, DriftState.state).where(DriftState.source_id == source_id)
        row = connection.execute(known).one_or_none()
        position = row.position if row else 0
        detector = Detector(row.state if row else None)
        end, noticed = _feed(connection, source_id, position, detector, deadline)
    if end == position:
        return position, end, []
    values = {"position": end, "state": detector.as_json(), "looked_at": datetime.now(UTC)}
    with transaction(engine) as connection:
        if not advance(connection, DriftState, source_id, position, values):
            return end, end, []
        return position, end, [_kept(connection, each) for each in noticed]


def _feed(
    connection: Connection, source_id: int, position: int, detector: Detector, deadline: float
) -> tuple[int, list[Noticed]]:
    """Feed the detector with what is stored from a position on; return how far it went, and the drifts."""
    prefer_summaries(connection)
    now, lines = datetime.now(UTC), 0
    path = connection.execute(select(Source.path).where(Source.id == source_id)).scalar_one()
    noticed = []
    for stretch in stretches(connection, source_id, position, now):
        for window in windows(connection, source_id, stretch):
            drift = detector.feed(window)
            if drift is not None:
                shown = examples(connection, source_id, drift)
                changes = [asdict(change) for change in drift.changes]
                place = (drift.kind, drift.start, drift.end, drift.moment)
                noticed.append(Noticed(None, source_id, path, *place, now, changes, shown))
        position = stretch.until
        lines += stretch.lines
        if lines >= LINES_AT_ONCE or time.monotonic() > deadline:
            break
    return position, noticed


def _kept(connection: Connection, noticed: Noticed) -> Noticed:
    values = {
        "source_id": noticed.source_id,
        "kind": noticed.kind,
        "start_offset": noticed.start,
        "end_offset": noticed.end,
        "since": noticed.since,
        "noticed_at": noticed.noticed_at,
        "changes": noticed.changes,
        "examples": noticed.examples,
    }
    added = connection.execute(insert(DriftEvent).values(values).returning(DriftEvent.id))
    return replace(noticed, id=added.scalar_one())
