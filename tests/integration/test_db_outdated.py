"""Retention of findings and drifts on both databases: what is closed and old goes, what lasts stays."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from db.drifts import DriftEvent, noticed
from db.engine import transaction
from db.findings import findings
from db.noting import QUIET, close_stale, note
from db.retention import expire
from db.silences import silence
from db.store import LakeStore
from pipeline.batch import Batch, Source
from pipeline.detect.sighting import Sighting
from pipeline.retention import Kept, Retention

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATHS = {1: "/log/one", 2: "/log/two", None: None}


@pytest.fixture(autouse=True)
def _sources(engine: Engine) -> None:
    for number in (1, 2):
        LakeStore(engine).store(Batch(Source(f"{number:032}", "web-1", str(PATHS[number])), 0, b"line\n"))


def finding(
    engine: Engine, subject: str, days: float, source_id: int | None = 1, *, closed: bool = True
) -> None:
    """Note a finding so many days ago, and close it."""
    at = NOW - timedelta(days=days)
    with transaction(engine) as connection:
        note(connection, source_id, [Sighting("security", "xss", "low", subject, at, at, 1, "a script")], at)
        if closed:
            close_stale(connection, at + 2 * QUIET)


def drift(engine: Engine, days: float, source_id: int = 1) -> None:
    """Note a drift so many days ago."""
    values: dict[str, Any] = {
        "source_id": source_id, "kind": "status", "start_offset": 7, "end_offset": 9, "since": NOW,
        "noticed_at": NOW - timedelta(days=days), "changes": [], "examples": {"before": [], "after": []},
    }  # fmt: skip
    with transaction(engine) as connection:
        connection.execute(insert(DriftEvent).values(values))


def expired(engine: Engine, rules: str, *, dry_run: bool = False) -> tuple[int, int]:
    """Return how many findings and drifts rules remove."""
    kept = Retention.parse(rules)
    report = expire(engine, lambda path, table: kept.days(path, Kept(table)), now=NOW, dry_run=dry_run)
    return report.findings, report.drifts


def subjects(engine: Engine) -> list[str]:
    """Return the subjects of the findings that are there."""
    return sorted(each.subject for each in findings(engine))


def test_what_is_closed_and_old_goes(engine: Engine) -> None:
    """By when it was noticed last; a dry run says the same and removes nothing."""
    finding(engine, "old", 31)
    finding(engine, "new", 29)
    drift(engine, 31)
    drift(engine, 29)

    assert expired(engine, "findings=30,drifts=30", dry_run=True) == (1, 1)
    assert subjects(engine) == ["new", "old"]
    assert expired(engine, "findings=30,drifts=30") == (1, 1)
    assert subjects(engine) == ["new"]
    assert [each.noticed_at for each in noticed(engine)] == [NOW - timedelta(days=29)]
    assert expired(engine, "findings=30,drifts=30") == (0, 0)


def test_what_lasts_is_never_removed(engine: Engine) -> None:
    """Open or silenced, however long ago it was noticed."""
    finding(engine, "open", 900, closed=False)
    finding(engine, "silenced", 900, 2, closed=False)
    silence(engine, "silenced", NOW + timedelta(days=1), "", NOW)

    assert expired(engine, "findings=1") == (0, 0)
    assert {each.state for each in findings(engine)} == {"open", "silenced"}


def test_each_source_has_its_own_age(engine: Engine) -> None:
    """By the path of its file; what is of no single source follows the rule for all."""
    for subject, source_id in (("a", 1), ("b", 2), ("c", None)):
        finding(engine, subject, 10, source_id)
    for source_id in (1, 2):
        drift(engine, 10, source_id)
    finding(engine, "new", 1)
    drift(engine, 1)

    assert expired(engine, "/log/one:findings=keep,findings=5,/log/two:drifts=5") == (2, 1)
    assert subjects(engine) == ["a", "new"]
    assert [each.source_id for each in noticed(engine)] == [1, 1]


def test_no_number_comes_again(engine: Engine) -> None:
    """What receives alerts tells them apart by it: so the newest finding and drift stay, however old."""
    finding(engine, "a", 900)
    drift(engine, 900)
    for _ in range(2):
        finding(engine, "a", 900)
        drift(engine, 900)

        assert expired(engine, "findings=1,drifts=1", dry_run=True) == (1, 1)
        assert expired(engine, "findings=1,drifts=1") == (1, 1)
        assert expired(engine, "findings=1,drifts=1") == (0, 0)

    assert [each.id for each in findings(engine)] == [3]
    assert [each.id for each in noticed(engine)] == [3]


def test_other_rules_are_not_about_them(engine: Engine) -> None:
    """Where lines go, what was noticed of them stays."""
    finding(engine, "a", 900)
    drift(engine, 900)

    assert expired(engine, "lake=1,clean=1,rejected=1") == (0, 0)
