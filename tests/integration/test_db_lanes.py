"""Writers of one stage that load at once keep to tables of their own, and store the same as ever."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime

import pytest
from alembic import command
from sqlalchemy import Engine, text

from db import schema
from db.audit import audit
from db.engine import make_engine, reading, transaction
from db.lanes import Lane, Tables
from db.ledger import CLEAN, LAKE
from db.partitions import LANES, lane_name, partition_name, prepare
from db.rebuild import rebuild
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.generate import generate_lines

SOURCE = Source("cd" * 16, "web-1", "/log", format="combined")
BLOCKS = [b"".join(generate_lines(20, seed=seed)) + b"no log line\n" for seed in range(LANES + 1)]
TABLES = {"raw_logs": 21, "clean_records": 20, "rejected_lines": 1}


def today() -> date:
    """Return the day on which rows are stored now."""
    return datetime.now(UTC).date()


def suffix(lane: int) -> str:
    """Return what follows the names of the tables of a lane this month."""
    return lane_name(partition_name("", today()), lane)


def batches() -> Iterator[Batch]:
    """Yield the blocks as batches, one after the other."""
    start = 0
    for block in BLOCKS:
        yield Batch(SOURCE, start, block)
        start += len(block)


def rows_by_lane(engine: Engine, table: str) -> list[int]:
    """Return the rows in each lane's table of this month."""
    month = partition_name(table, today())
    with reading(engine) as connection:
        counts = [f"SELECT count(*) FROM {lane_name(month, lane)}" for lane in range(LANES)]
        return [connection.execute(text(count)).scalar_one() for count in counts]


@pytest.mark.parametrize("alike", [True, False], ids=["same first lane", "own first lanes"])
def test_writers_at_once_have_tables_of_their_own(postgresql: Engine, alike: bool) -> None:
    """Each of four open transactions is in another lane; a fifth waits for none of them and shares one."""
    stores = [(LakeStore(postgresql), CleanStore(postgresql)) for _ in BLOCKS]
    for number, pair in enumerate(stores):
        for store in pair:
            store._lane.number = 0 if alike else number % LANES
            store._prepare(next(batches()))
    with ExitStack() as transactions:
        for pair, batch in zip(stores, batches(), strict=True):
            connection = transactions.enter_context(transaction(postgresql))
            for store in pair:
                store._catalogue.keep()
                store.within(connection, batch)

    for table, lines in TABLES.items():
        assert sorted(rows_by_lane(postgresql, table)) == [lines] * (LANES - 1) + [2 * lines]
    whole = b"".join(BLOCKS)
    assert b"".join(rebuild(postgresql, 1)) == whole
    assert audit(postgresql, {SOURCE.key: len(whole)}, deep=True).complete


def test_a_lane_is_kept_while_nobody_else_is_in_it(postgresql: Engine) -> None:
    """A writer alone stays in its lane; one that finds it taken moves to a free one, and stays there."""
    first, second = (Lane(CLEAN, "postgresql") for _ in range(2))
    first.number = second.number = 2
    with transaction(postgresql) as one, transaction(postgresql) as other:
        assert [first.enter(one, today()).suffix for _ in range(2)] == [suffix(2)] * 2
        moved = second.enter(other, today()).suffix
        assert moved != suffix(2)
        lake = Lane(LAKE, "postgresql")  # another stage's lanes are others
        assert lake.enter(other, today()).suffix == suffix(lake.number)

    with transaction(postgresql) as one, transaction(postgresql) as other:
        assert second.enter(other, today()).suffix == moved
        assert first.enter(one, today()).suffix == suffix(2)


def test_a_month_of_an_older_version_goes_on_as_one_table(postgresql: Engine) -> None:
    """After the migration a month with rows takes every lane; what comes later has lanes, and back again."""
    month = partition_name("raw_logs", today())
    first, second, *_ = batches()
    LakeStore(postgresql).store(first)
    with transaction(postgresql) as connection:
        command.downgrade(schema._config(connection), "0014")
        older = "sluice_drop_partition(text, date)"
        connection.execute(text(f"CREATE FUNCTION {older} RETURNS void LANGUAGE sql AS ''"))
    with reading(postgresql) as connection:
        assert connection.execute(text(f"SELECT count(*) FROM ONLY {month}")).scalar() == 21

    schema.upgrade(postgresql.url.render_as_string(hide_password=False))
    store = LakeStore(postgresql)
    store._lane.number = 2
    store.store(second)

    with reading(postgresql) as connection:
        assert connection.execute(text(f"SELECT count(*) FROM ONLY {month}")).scalar() == 42
        # An older retention would count no rows in a month of lanes, and drop it.
        assert connection.execute(text(f"SELECT to_regprocedure('{older}')")).scalar() is None
        leaves = "SELECT count(*) FROM pg_partition_tree('raw_logs') WHERE isleaf"
        assert connection.execute(text(leaves)).scalar() == 2 + 2 * LANES  # this month, the rest, two months
    assert prepare(postgresql) == []
    assert rows_by_lane(postgresql, "clean_records") == [0] * LANES
    assert b"".join(rebuild(postgresql, 1)) == BLOCKS[0] + BLOCKS[1]


def test_sqlite_has_one_lane(sqlite_url: str) -> None:
    """One writer needs no second one: lines go into the table itself."""
    engine = make_engine(sqlite_url)
    with transaction(engine) as connection:
        assert Lane(CLEAN, "sqlite").enter(connection, today()) == Tables(connection)
    engine.dispose()
