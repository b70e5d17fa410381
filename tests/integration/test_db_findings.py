"""Findings on both databases: noted once while they last, closed by quiet, silenced, asked for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import IntegrityError

from db.engine import transaction
from db.findings import FindingRow, State, Wanted, count_open, example_lines, findings
from db.noting import MOST_PLACES, QUIET, close_quiet, close_stale, note
from db.silences import lift, silence, silences
from db.store import LakeStore
from pipeline.batch import Batch, Source
from pipeline.detect.sighting import Sighting

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LINES = b"first line\nsecond \x1b[2J line\n"
SEEN = Sighting(
    "security", "traversal", "medium", "192.0.2.1", NOON, NOON + MINUTE, 3, "3 requests for ..", (0,)
)


@pytest.fixture(autouse=True)
def _source(engine: Engine) -> None:
    LakeStore(engine).store(Batch(Source("ab" * 16, "web-1", "/a.log"), 0, LINES))


def noted(engine: Engine, *seen: Sighting, source_id: int | None = 1, now: datetime = NOON) -> list[int]:
    """Note what was seen at a time; return what is new."""
    with transaction(engine) as connection:
        return note(connection, source_id, seen, now)


def test_what_lasts_is_one_finding(engine: Engine) -> None:
    """More of one rule and subject adds to it: time, count, severity and places, and is nothing new."""
    later = replace(SEEN, since=NOON + 5 * MINUTE, until=NOON + 9 * MINUTE, severity="high", offsets=(11,))

    assert noted(engine, SEEN) == [1]
    assert noted(engine, later, now=NOON + MINUTE) == []
    (found,) = findings(engine)

    assert (found.since, found.until, found.count) == (NOON, NOON + 9 * MINUTE, 6)
    assert (found.noticed_at, found.seen_at) == (NOON, NOON + MINUTE)
    assert (found.severity, found.state, found.path) == ("high", State.OPEN, "/a.log")
    assert found.evidence == [{"source_id": 1, "offset": 0}, {"source_id": 1, "offset": 11}]


def test_another_rule_subject_or_source_is_another_finding(engine: Engine) -> None:
    """Each has its own, and one of no single source too."""
    noted(engine, SEEN, replace(SEEN, subject="192.0.2.2"), replace(SEEN, rule="scan"))
    noted(engine, SEEN, source_id=None)

    assert noted(engine, SEEN, source_id=None) == []
    assert [(each.source_id, each.rule, each.subject) for each in findings(engine)] == [
        (1, "traversal", "192.0.2.1"),
        (1, "traversal", "192.0.2.2"),
        (1, "scan", "192.0.2.1"),
        (None, "traversal", "192.0.2.1"),
    ]


def test_the_database_keeps_them_apart(engine: Engine) -> None:
    """A second one that lasts beside the first is refused, whoever writes it."""
    noted(engine, SEEN)
    values = {name: getattr(SEEN, name) for name in ("kind", "rule", "severity", "subject", "since", "until")}
    values |= {"source_id": 1, "noticed_at": NOON, "seen_at": NOON, "count": 1, "summary": "", "evidence": []}

    with pytest.raises(IntegrityError), transaction(engine) as connection:
        connection.execute(insert(FindingRow).values(values | {"state": State.SILENCED}))


def test_after_quiet_it_is_another_one(engine: Engine) -> None:
    """What comes back after more than an hour, by the times of the lines, closes the first and is new."""
    noted(engine, SEEN)
    back = SEEN.until + QUIET + MINUTE

    assert noted(engine, replace(SEEN, since=back, until=back)) == [2]
    assert [each.state for each in findings(engine)] == [State.CLOSED, State.OPEN]


@pytest.mark.parametrize(
    ("reached", "now", "state"),
    [
        (NOON + QUIET, NOON + QUIET, State.OPEN),
        (NOON + QUIET + 2 * MINUTE, NOON, State.CLOSED),
        (NOON, NOON + QUIET + MINUTE, State.CLOSED),
    ],
    ids=["not yet", "by the lines", "by the clock"],
)
def test_quiet_closes(engine: Engine, reached: datetime, now: datetime, state: State) -> None:
    """A finding is over when the lines, or the clock, are more than an hour past its last one."""
    noted(engine, SEEN)
    with transaction(engine) as connection:
        close_quiet(connection, 1, reached)
        close_stale(connection, now)

    assert [each.state for each in findings(engine)] == [state]


def test_what_is_kept_is_bounded(engine: Engine) -> None:
    """However many lines and long texts: a few places, the first ones, and short texts."""
    for number in range(4):
        offsets = tuple(range(10 * number, 10 * number + 3))
        noted(engine, replace(SEEN, subject="x" * 5000, summary="y" * 5000, offsets=offsets))
    (found,) = findings(engine)

    assert [place["offset"] for place in found.evidence] == [0, 1, 2, 10, 11]
    assert len(found.evidence) == MOST_PLACES
    assert (len(found.subject), len(found.summary)) == (200, 500)


def test_asked_for_by_source_kind_time_and_state(engine: Engine) -> None:
    """Each condition narrows; times of noticing and times of the lines are told apart."""
    noted(engine, SEEN, now=NOON + QUIET)
    noted(engine, replace(SEEN, kind="error", rule="spike"), source_id=None, now=NOON + 2 * QUIET)
    with transaction(engine) as connection:
        close_quiet(connection, 1, SEEN.until + 2 * QUIET)

    def rules(wanted: Wanted) -> list[str]:
        return [each.rule for each in findings(engine, wanted)]

    assert rules(Wanted()) == ["traversal", "spike"]
    assert rules(Wanted(source_id=1)) == rules(Wanted(kind="security")) == ["traversal"]
    assert rules(Wanted(lasting=True)) == rules(Wanted(limit=1)) == ["spike"]
    assert rules(Wanted(seen_since=NOON + 2 * QUIET)) == ["spike"]
    assert rules(Wanted(until=NOON)) == rules(Wanted(since=SEEN.until + MINUTE)) == []
    assert count_open(engine) == {"medium": 1}


def test_lines_come_from_the_lake(engine: Engine) -> None:
    """Places become lines where the lake holds them."""
    noted(engine, replace(SEEN, offsets=(0, 5, 11)))
    found = findings(engine)

    assert example_lines(engine, found)[1] == [
        {"source_id": 1, "offset": 0, "line": "first line"},
        {"source_id": 1, "offset": 11, "line": "second \x1b[2J line"},
    ]


@pytest.mark.parametrize("target", ["traversal", "192.0.2.1"])
def test_a_silence_holds_until_it_ends(engine: Engine, target: str) -> None:
    """By rule or subject; what lasts longer than the silence speaks again."""
    noted(engine, SEEN, replace(SEEN, rule="scan", subject="192.0.2.2"))
    made = silence(engine, target, NOON + MINUTE, "known", NOON)

    assert silences(engine, NOON) == [made]
    assert silences(engine, NOON + MINUTE) == []
    assert [each.state for each in findings(engine)] == [State.SILENCED, State.OPEN]
    assert noted(engine, SEEN) == []
    assert lift(engine, made.id, NOON)
    assert not lift(engine, made.id, NOON)
    assert [each.state for each in findings(engine)] == [State.OPEN, State.OPEN]
