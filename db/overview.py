"""The parts of page and report that the database answers: rows over a selection of time and source.

What is ranked (paths, agents, addresses) is counted by day, so over more than an hour it is asked of the
whole days that the period touches: a report reads counts and no records. Times of traffic are the lines'.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Engine, func, select

from db import rejected
from db.counted import Scope
from db.drifts import described, noticed, quantity
from db.engine import reading
from db.findings import Wanted, findings
from db.ledger import CLEAN
from db.models import CleanRecord, Segment
from db.queries import answer
from db.sources import list_sources
from db.survey import Ages, survey
from db.traffic import TrafficMinute
from db.watches import watched
from pipeline.report.figures import Ask, Period, Rows, Selection, latency_unit, ranked_period

#: Rows of a ranking; groups of rejected lines; drifts that are looked through; findings.
MOST_RANKED, MOST_GROUPS, MOST_DRIFTS, MOST_FINDINGS = 10, 20, 500, 50
#: Segments not counted yet in which the newest record is looked for.
NEWEST_SEGMENTS = 5
#: Over how many seconds the rates reach back, and the most segments looked at for them.
RATE_SECONDS, RATE_SEGMENTS = 600, 20_000
#: A period of at most this many minutes is told by minute, a longer one by hour: its bins are whole hours.
_BY_MINUTE = timedelta(hours=60)
#: Visitors of a longer period are not counted: the sketches of its hours would take too long to merge.
_VISITED = timedelta(days=32)
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

#: What is told of a finding.
_FINDING = (
    "id", "source_id", "path", "kind", "rule", "severity", "subject", "since", "until", "count", "summary",
    "evidence", "state",
)  # fmt: skip
#: Questions of db/queries.py that rank, by the part that they answer.
RANKINGS = {
    "paths": "top_paths",
    "errors": "errors_by_path",
    "slow": "slowest_paths",
    "agents": "top_agents",
    "browsers": "top_browsers",
    "countries": "top_countries",
    "addresses": "top_addresses",
}


def parts(engine: Engine, offsets: Callable[[], Mapping[str, int]]) -> dict[str, Ask]:
    """Return what answers each part of figures.py that is the database's.

    Args:
        engine: that reads; each question takes a connection of its own.
        offsets: gives the confirmed offset of every source by key, as far as it is known here.
    """
    rankings = {part: partial(_ranked, engine, name) for part, name in RANKINGS.items()}
    ages = Ages()
    return {
        "clock": partial(_clock, engine),
        "traffic": partial(_traffic, engine),
        "volume": partial(_volume, engine),
        "latency": partial(_latency, engine),
        "visitors": partial(_visitors, engine),
        **rankings,
        "drifts": partial(_drifts, engine),
        "findings": partial(_findings, engine),
        "sources": lambda _: _sources(engine),
        "missing": lambda _: _missing(engine, offsets(), ages),
        "rates": lambda _: _rates(engine),
        "rejected": partial(_rejected, engine),
        "watches": lambda _: _watches(engine),
    }


def _asked(engine: Engine, name: str, selection: Selection, period: Period) -> Rows:
    scope = Scope(period.since, period.until, selection.source_id, MOST_RANKED)
    found = answer(engine, name, scope)
    return Rows(found.columns, found.rows)


def _ranked(engine: Engine, name: str, selection: Selection) -> Rows:
    return _asked(engine, name, selection, ranked_period(selection.period))


def _traffic(engine: Engine, selection: Selection) -> Rows:
    unit = "minute" if selection.period.length <= _BY_MINUTE else "hour"
    found = _asked(engine, f"status_classes_by_{unit}", selection, selection.period)
    return Rows(("moment", "status_class", "hits"), found.rows)


def _volume(engine: Engine, selection: Selection) -> Rows:
    name = "traffic_by_minute" if selection.period.length <= _BY_MINUTE else "bytes_by_hour"
    return Rows(("moment", "hits", "bytes"), _asked(engine, name, selection, selection.period).rows)


def _latency(engine: Engine, selection: Selection) -> Rows:
    unit = latency_unit(selection.period)
    name = {_MINUTE: "latency_by_minute", _HOUR: "latency_by_hour", _DAY: "latency_by_day"}[unit]
    found = _asked(engine, name, selection, selection.period.whole(unit))
    return Rows(("moment", *found.columns[1:]), found.rows)


def _visitors(engine: Engine, selection: Selection) -> Rows:
    """Return how many visitors the hours that the period touches had; none of a period that is too long."""
    if selection.period.length > _VISITED:
        return Rows(("visitors",), [])
    return _asked(engine, "visitors", selection, selection.period.whole(_HOUR))


def _clock(engine: Engine, selection: Selection) -> Rows:
    """Return the newest moment that has a record: counted, to its minute, or in what was stored last."""
    counted = select(func.max(TrafficMinute.minute))
    uncounted = select(Segment.source_id, Segment.start_offset, Segment.end_offset)
    uncounted = uncounted.where(Segment.stage == CLEAN, ~Segment.is_counted).order_by(Segment.id.desc())
    if selection.source_id is not None:
        counted = counted.where(TrafficMinute.source_id == selection.source_id)
        uncounted = uncounted.where(Segment.source_id == selection.source_id)
    with reading(engine) as connection:
        newest = [connection.execute(counted).scalar()]
        # One segment after the other: for all at once a planner might read every record there is.
        for place in connection.execute(uncounted.limit(NEWEST_SEGMENTS)).all():
            stored = select(func.max(CleanRecord.timestamp)).where(CleanRecord.within(*place))
            newest.append(connection.execute(stored).scalar())
    return Rows(("newest",), [(max(filter(None, newest), default=None),)])


def _drifts(engine: Engine, selection: Selection) -> Rows:
    columns = ("id", "source_id", "path", "kind", "at", "summary", "changes", "before", "after")
    period = selection.period
    found = []
    for each in noticed(engine, source_id=selection.source_id, limit=MOST_DRIFTS):
        at = each.since or each.noticed_at
        if period.since <= at < period.until:
            changes = [_change(change) for change in each.changes]
            examples = [
                [line["line"] for line in each.examples.get(when, [])] for when in ("before", "after")
            ]
            found.append(
                (each.id, each.source_id, each.path, each.kind, at, described(each), changes, *examples)
            )
    return Rows(columns, found)


def _findings(engine: Engine, selection: Selection) -> Rows:
    period = selection.period
    wanted = Wanted(selection.source_id, since=period.since, until=period.until, limit=MOST_FINDINGS)
    found = findings(engine, wanted)
    return Rows(_FINDING, [tuple(getattr(each, name) for name in _FINDING) for each in found])


def _change(change: Mapping[str, Any]) -> str:
    before, after = (quantity(change["name"], change[key]) for key in ("before", "after"))
    return f"{change['name']}: {before} → {after}"


def _sources(engine: Engine) -> Rows:
    columns = ("id", "key", "host", "path", "format", "first_seen_at", "lake_bytes", "clean_bytes")
    found = list_sources(engine)
    return Rows(columns, [tuple(getattr(row, name) for name in columns) for row in found])


def _missing(engine: Engine, offsets: Mapping[str, int], ages: Ages) -> Rows:
    found = survey(engine, offsets)
    oldest = ages.oldest(found.gaps, datetime.now(UTC))
    columns = ("stage", "stored_bytes", "missing_bytes", "oldest_seconds", "conflicts")
    return Rows(
        columns,
        [
            (stage, stored, found.missing_bytes[stage], oldest.get(stage, 0.0), found.conflicts)
            for stage, stored in found.stored_bytes.items()
        ],
    )


def _rates(engine: Engine) -> Rows:
    # The newest segments by their key: an index on the time would cost each batch, for this question alone.
    newest = select(Segment.stored_at, Segment.stage, Segment.line_count)
    newest = newest.order_by(Segment.id.desc()).limit(RATE_SEGMENTS)
    since = datetime.now(UTC) - timedelta(seconds=RATE_SECONDS)
    counts: Counter[tuple[datetime, str]] = Counter()
    with reading(engine) as connection:
        for stored_at, stage, lines in connection.execute(newest):
            if stored_at >= since:
                counts[stored_at.replace(microsecond=0), stage] += lines
    return Rows(("second", "stage", "lines"), [(*key, lines) for key, lines in sorted(counts.items())])


def _rejected(engine: Engine, selection: Selection) -> Rows:
    columns = ("signature", "format", "count", "path", "line_start", "reason", "position", "line")
    scope = rejected.Scope(selection.period.since.date(), selection.source_id)
    found = []
    for group in rejected.grouped(engine, scope)[:MOST_GROUPS]:
        first = group.example
        named = " ".join(map(str, group.format)) if group.format else None
        example = (first.path, first.line_start, first.reason, first.position, first.line) if first else ()
        found.append((group.signature, named, group.count, *(example or (None,) * 5)))
    return Rows(columns, found)


def _watches(engine: Engine) -> Rows:
    found = watched(engine).values()
    return Rows(("name", "checked_at", "problem"), [(row.name, row.checked_at, row.problem) for row in found])
