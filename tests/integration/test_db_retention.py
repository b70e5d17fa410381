"""Retention on both databases: what is old enough goes, what is not proven stays, and the audit is true."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from db import retention
from db.audit import audit
from db.counting import count
from db.engine import make_engine, reading, transaction
from db.expiry import Expiry, Held
from db.ledger import CLEAN, LAKE
from db.models import CleanRecord, RawLog, RejectedLine
from db.partitions import months, partition_name
from db.removals import Sums
from db.retention import UNCOUNTED, expire
from db.store import CleanStore, LakeStore
from db.traffic import TrafficDay
from pipeline.batch import Batch, Source
from pipeline.generate import generate_lines
from pipeline.retention import Kept, Retention

ONE, TWO = Source("aa" * 16, "web-1", "/log/one", format="combined"), Source("bb" * 16, "web-1", "/log/two")
NOW = datetime.now(UTC)
BROKEN = b"no \xff log line\n"


def block(seed: int) -> bytes:
    """Return twelve lines, the fifth and the last two of which do not parse."""
    lines = list(generate_lines(9, seed=seed))
    return b"".join([*lines[:4], BROKEN, *lines[4:], BROKEN, BROKEN])


BLOCKS = [block(seed) for seed in range(4)]
STARTS = [sum(map(len, BLOCKS[:index])) for index in range(5)]
#: Days since each of the blocks was stored.
AGES = (100, 60, 10, 0)


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with two sources of four counted segments each, stored at different times."""
    fill(engine)
    return engine


def fill(engine: Engine) -> None:
    """Store the blocks of two sources in both stages, as if on their days, and count them."""
    for source in (ONE, TWO):
        for index, content in enumerate(BLOCKS):
            for stage in (LakeStore(engine), CleanStore(engine)):
                stage.store(Batch(source, STARTS[index], content))
    with transaction(engine) as connection:
        for start, end, days in zip(STARTS, STARTS[1:], AGES, strict=False):
            at = NOW - timedelta(days=days)
            for model in (RawLog, CleanRecord, RejectedLine):
                place = (model.line_start >= start) & (model.line_start < end)
                connection.execute(model.__table__.update().where(place).values(stored_on=at.date()))
            moved = "UPDATE segments SET stored_at = :at WHERE start_offset = :start"
            value = at if connection.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")
            connection.execute(text(moved), {"at": value, "start": start})
    count(engine)


def expired(engine: Engine, rules: str, **options: Any) -> Expiry:
    """Remove what rules say is old enough."""
    kept = Retention.parse(rules)
    return expire(engine, lambda path, table: kept.days(path, Kept(table)), **options)


def rows(engine: Engine, source_id: int = 1) -> dict[str, int]:
    """Return the rows of each table of a source."""
    with reading(engine) as connection:
        return {
            name: connection.execute(
                select(func.count()).select_from(model).where(model.source_id == source_id)
            ).scalar_one()
            for name, model in retention.TABLES.items()
        }


def hits(engine: Engine) -> int:
    """Return the hits in the counts for reports."""
    with reading(engine) as connection:
        found = connection.execute(select(func.sum(TrafficDay.hits)).where(TrafficDay.kind == "path"))
        return int(found.scalar_one())


def complete(engine: Engine) -> bool:
    """Tell whether the deep audit passes."""
    ends = {source.key: STARTS[-1] for source in (ONE, TWO)}
    return audit(engine, ends, deep=True).complete and audit(engine, ends).complete


def figures(report: Expiry, source_id: int = 1) -> dict[str, tuple[int, int, int]]:
    """Return segments, lines and bytes that went of each stage of a source."""
    return {
        each.stage: (each.segments, each.lines, each.bytes)
        for each in report.gone
        if each.source_id == source_id
    }


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


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Engine]:
    """Such a database on PostgreSQL, whose past months have partitions."""
    engine = make_engine(postgresql_url)
    with transaction(engine) as connection:
        for days in AGES:
            month = (NOW - timedelta(days=days)).date().replace(day=1)
            for model in retention.TABLES.values():
                name = model.__tablename__
                connection.execute(text(partition_of(name, month)))
    fill(engine)
    yield engine
    engine.dispose()


def partition_of(table: str, month: date) -> str:
    """Return the statement that makes a partition."""
    following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (
        f"CREATE TABLE IF NOT EXISTS {partition_name(table, month)} PARTITION OF {table} "
        f"FOR VALUES FROM ('{month}') TO ('{following}')"
    )


def all_months(engine: Engine, table: str = "raw_logs") -> list[date]:
    """Return the months of a table that have a partition."""
    with reading(engine) as connection:
        return months(connection, table)


def test_whole_months_go_with_their_partitions(postgresql: Engine) -> None:
    """A month in which everything is old enough is dropped, with the same figures as without partitions."""
    oldest = (NOW - timedelta(days=AGES[0])).date().replace(day=1)
    rules = "lake=62,clean=62"

    planned = expired(postgresql, rules, dry_run=True)
    assert oldest in all_months(postgresql)
    done = expired(postgresql, rules)

    assert planned == done
    assert done.partitions == [partition_name("raw_logs", oldest), partition_name("clean_records", oldest)]
    assert oldest not in all_months(postgresql)
    assert oldest in all_months(postgresql, "rejected_lines")
    assert figures(done) == {LAKE: (1, 12, STARTS[1]), CLEAN: (1, 9, STARTS[1] - 3 * len(BROKEN))}
    assert complete(postgresql)
    assert expired(postgresql, rules) == Expiry()


def test_loads_go_on_while_months_are_dropped(postgresql: Engine) -> None:
    """Writers of today's rows neither fail nor write into a table that goes while retention works."""
    stopped = threading.Event()

    def load(source: Source) -> int:
        stages, start = (LakeStore(postgresql), CleanStore(postgresql)), STARTS[-1]
        while not stopped.is_set():
            for stage in stages:
                stage.store(Batch(source, start, BLOCKS[0]))
            start += len(BLOCKS[0])
        return start

    with ThreadPoolExecutor(2) as pool:
        ends = {source.key: pool.submit(load, source) for source in (ONE, TWO)}
        try:
            done = expired(postgresql, "lake=5,clean=62,rejected=62")
        finally:
            stopped.set()
        reached = {key: end.result() for key, end in ends.items()}

    assert len(done.partitions) >= 3
    assert figures(done)[LAKE] == (3, 36, STARTS[3])
    assert min(reached.values()) > STARTS[-1]
    assert audit(postgresql, reached, deep=True).complete


def test_a_month_that_somebody_reads_from_waits(postgresql: Engine) -> None:
    """A reader that does not end keeps the partition, and its rows are not deleted one by one instead."""
    url = postgresql.url.update_query_dict({"options": "-c lock_timeout=300"})
    impatient = make_engine(url.render_as_string(hide_password=False))
    with reading(postgresql) as reader:
        reader.execute(text("SELECT count(*) FROM raw_logs"))

        waiting = expired(impatient, "lake=62,rejected=50")

    assert not waiting.is_finished
    assert not [name for name in waiting.partitions if name.startswith("raw_logs")]
    assert figures(waiting) == {CLEAN: (2, 6, 6 * len(BROKEN))}
    assert complete(postgresql)
    assert expired(impatient, "lake=62,rejected=50").is_finished
    assert rows(postgresql) == {"lake": 36, "clean": 36, "rejected": 6}
    impatient.dispose()


@pytest.mark.parametrize(
    ("rules", "damage"),
    [
        ("/log/two:lake=keep,lake=62", ""),
        ("lake=62", "DELETE FROM raw_logs WHERE line_start = 0 AND source_id = 2"),
        ("lake=62", "UPDATE raw_logs SET line_start = 9999999 WHERE line_start = 0 AND source_id = 2"),
    ],
)
def test_a_month_with_something_to_keep_is_not_dropped(postgresql: Engine, rules: str, damage: str) -> None:
    """Where a rule keeps rows, or an audit does not pass, only the other source's rows are deleted."""
    if damage:
        with transaction(postgresql) as connection:
            assert connection.execute(text(damage)).rowcount == 1

    done = expired(postgresql, rules)

    assert done.partitions == []
    assert figures(done) == {LAKE: (1, 12, STARTS[1])}
    assert rows(postgresql, 2)["lake"] == 48 - ("DELETE" in damage)
    assert [(each.source_id, each.start) for each in done.held] == ([(2, 0)] if damage else [])
