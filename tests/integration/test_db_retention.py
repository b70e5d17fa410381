"""Retention on both databases: what is old enough goes, what is not proven stays, and the audit is true."""

import pytest
from sqlalchemy import Engine, func, select, text

from db.audit import audit
from db.engine import reading, transaction
from db.expiry import Expiry, Held
from db.ledger import CLEAN, LAKE
from db.removals import Sums
from db.retention import UNCOUNTED
from db.store import LakeStore
from db.traffic import TrafficDay
from pipeline.batch import Batch
from tests.integration.retaining import BLOCKS, BROKEN, ONE, STARTS, complete, expired, figures, fill, rows


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with two sources of four counted segments each, stored at different times."""
    fill(engine)
    return engine


def hits(engine: Engine) -> int:
    """Return the hits in the counts for reports."""
    with reading(engine) as connection:
        found = connection.execute(select(func.sum(TrafficDay.hits)).where(TrafficDay.kind == "path"))
        return int(found.scalar_one())


def test_everything_is_kept_without_a_rule(filled: Engine) -> None:
    """No rule, no removal."""
    assert expired(filled, "") == Expiry()
    assert rows(filled) == {"lake": 48, "clean": 36, "rejected": 12}


def test_each_table_has_its_own_age(filled: Engine) -> None:
    """The lake goes after 50 days, clean after 90, rejected lines never; counts for reports stay."""
    before = hits(filled)

    planned = expired(filled, "lake=50,clean=90", dry_run=True)
    assert rows(filled) == {"lake": 48, "clean": 36, "rejected": 12}
    done = expired(filled, "lake=50,clean=90")

    assert planned == done
    rejected = 3 * len(BROKEN)
    assert (
        figures(done)
        == figures(done, 2)
        == {
            LAKE: (2, 24, STARTS[2]),
            CLEAN: (1, 9, STARTS[1] - rejected),
        }
    )
    assert not done.held
    assert done.is_finished
    assert rows(filled) == rows(filled, 2) == {"lake": 24, "clean": 27, "rejected": 12}
    assert hits(filled) == before
    assert complete(filled)
    (one, _) = audit(filled, None).sources
    assert one.stages[LAKE].removed == {"retention": Sums(STARTS[2], 24)}
    assert expired(filled, "lake=50,clean=90") == Expiry()


def test_rejected_lines_go_alone_and_the_rest_later(filled: Engine) -> None:
    """Lines that do not parse go first; then the records beside them, and then nothing is left to do."""
    first = expired(filled, "rejected=5")
    assert figures(first) == {CLEAN: (3, 9, 9 * len(BROKEN))}
    assert rows(filled) == {"lake": 48, "clean": 36, "rejected": 3}
    assert complete(filled)

    second = expired(filled, "rejected=5,clean=5")

    assert figures(second) == {CLEAN: (3, 27, STARTS[3] - 9 * len(BROKEN))}
    assert rows(filled) == {"lake": 48, "clean": 9, "rejected": 3}
    assert complete(filled)
    assert expired(filled, "rejected=5,clean=5") == Expiry()


def test_a_path_has_its_own_rule(filled: Engine) -> None:
    """A rule of a pattern wins over that of all paths."""
    done = expired(filled, "/log/t*:lake=keep,lake=5,clean=5,rejected=5")

    assert figures(done) == {LAKE: (3, 36, STARTS[3]), CLEAN: (3, 36, STARTS[3])}
    assert set(figures(done, 2)) == {CLEAN}
    assert rows(filled, 2) == {"lake": 48, "clean": 9, "rejected": 3}
    assert complete(filled)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            "DELETE FROM raw_logs WHERE line_start = 0",
            "the rows of the lake stage are not those of the ledger",
        ),
        ("DELETE FROM clean_records WHERE line_start = 0", "the rows of the clean stage are not"),
        ("DELETE FROM segments WHERE stage = 'clean' AND start_offset = 0", "the clean stage has not stored"),
        ("UPDATE segments SET is_counted = FALSE WHERE start_offset = 0", UNCOUNTED),
    ],
)
def test_what_is_not_proven_stays(filled: Engine, damage: str, reason: str) -> None:
    """A segment whose audit does not pass is kept and named; its neighbours go."""
    with transaction(filled) as connection:
        connection.execute(text(damage + " AND source_id = 1"))
    before = audit(filled, None)

    done = expired(filled, "lake=5,clean=5,rejected=5")

    held = {(each.source_id, each.stage, each.start, each.end) for each in done.held}
    kept_by = {LAKE, CLEAN} if reason != UNCOUNTED else {CLEAN}
    gone_segment = "segments WHERE" in damage
    assert held == {(1, stage, 0, STARTS[1]) for stage in kept_by if not (gone_segment and stage == CLEAN)}
    assert all(each.reason.startswith(reason) for each in done.held)
    assert figures(done)[LAKE][0] == 3 - (LAKE in kept_by)
    after = audit(filled, None)
    assert (after.missing_lines, after.missing_bytes, after.duplicate_lines) == (
        before.missing_lines,
        before.missing_bytes,
        before.duplicate_lines,
    )


def test_an_open_conflict_keeps_its_range(filled: Engine) -> None:
    """Bytes that somebody contradicts are not removed; resolved, both contents go."""
    other = b"x" * (len(BLOCKS[1]) - 1) + b"\n"
    LakeStore(filled).store(Batch(ONE, STARTS[1], other))

    done = expired(filled, "lake=5")

    assert [(each.start, each.end, each.reason) for each in done.held] == [
        (STARTS[1], STARTS[2], "a conflict about it is open")
    ]
    assert isinstance(done.held[0], Held)
    with transaction(filled) as connection:
        connection.execute(text("UPDATE conflicts SET resolved_at = seen_at"))
    assert figures(expired(filled, "lake=5")) == {LAKE: (1, 12, len(BLOCKS[1]))}
    with reading(filled) as connection:
        assert connection.execute(text("SELECT count(*) FROM conflicts")).scalar() == 0


def test_time_is_kept(filled: Engine) -> None:
    """What there is no time for is left to the next call."""
    assert not expired(filled, "lake=5", seconds=-1).is_finished
    assert rows(filled)["lake"] == 48


@pytest.mark.parametrize("step", ["note", "_forget_resolved"])
def test_stopped_in_the_middle_nothing_is_half_done(
    filled: Engine, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Rows go and are noted in one transaction: whatever ends it, the audit stays true."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"db.retention.{step}", stop)
    with pytest.raises(KeyboardInterrupt):
        expired(filled, "lake=5")
    monkeypatch.undo()

    assert rows(filled)["lake"] == 48
    assert complete(filled)
    assert figures(expired(filled, "lake=5"))[LAKE] == (3, 36, STARTS[3])


def test_small_slices_do_the_same(filled: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and slices of a segment each come to the same result as one of all."""
    monkeypatch.setattr("db.expired.PAGE_SEGMENTS", 1)
    monkeypatch.setattr("db.expired.LINES_AT_ONCE", 1)
    monkeypatch.setattr("db.months.PAGE_SEGMENTS", 1)

    done = expired(filled, "lake=5,clean=50,rejected=5")

    assert figures(done)[LAKE] == (3, 36, STARTS[3])
    assert rows(filled) == {"lake": 12, "clean": 18, "rejected": 3}
    assert complete(filled)
