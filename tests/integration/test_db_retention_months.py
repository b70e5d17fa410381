"""Retention by whole months: partitions of PostgreSQL that go at once, while others write and read."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, text

from db import retention
from db.audit import audit
from db.engine import make_engine, reading, transaction
from db.expiry import Expiry
from db.ledger import CLEAN, LAKE
from db.partitions import months, partition_name, prepare
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from tests.integration.retaining import (
    AGES,
    BLOCKS,
    BROKEN,
    NOW,
    ONE,
    STARTS,
    TWO,
    complete,
    expired,
    figures,
    fill,
    rows,
)


@pytest.fixture(params=["of lanes", "of one table"])
def postgresql(postgresql_url: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Such a database on PostgreSQL, whose past months have partitions, new ones or of an older version."""
    engine = make_engine(postgresql_url)
    for month in {(NOW - timedelta(days=days)).date().replace(day=1) for days in AGES}:
        if request.param == "of lanes":
            prepare(engine, month)
        with transaction(engine) as connection:
            for model in retention.TABLES.values():
                connection.execute(text(partition_of(model.__tablename__, month)))
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
