"""Partitions by month on PostgreSQL: there ahead of time, and nothing fails without them."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Engine, text

from db.audit import audit
from db.engine import make_engine, reading, transaction
from db.partitions import LANES, TABLES, following, partition_name, prepare
from db.rebuild import rebuild
from db.store import CleanStore, LakeStore
from db.summaries import summarise
from pipeline.batch import Batch, Source
from pipeline.generate import generate_lines

KEY = "cd" * 16
#: A month that no migration has prepared.
PAST = date(2020, 2, 1)


def this_month() -> date:
    """Return the first day of this month."""
    return datetime.now(UTC).date().replace(day=1)


def store(engine: Engine, start: int, seed: int = 1) -> bytes:
    """Store a block with a broken line in both stages and return it."""
    block = b"".join(generate_lines(30, seed=seed)) + b"no log line\n"
    for stage in (LakeStore(engine), CleanStore(engine)):
        stage.store(Batch(Source(KEY, "web-1", "/log", format="combined"), start, block))
    return block


def homes(engine: Engine, table: str) -> dict[str, int]:
    """Return the rows of a table by the month's partition that holds them, whatever their lane."""
    found: Counter[str] = Counter()
    query = f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1"
    with reading(engine) as connection:
        for name, count in connection.execute(text(query)):
            found[re.sub(r"(_\d{4}_\d{2})_\d$", r"\1", name)] += count
    return dict(found)


def execute(engine: Engine, *statements: str) -> None:
    """Run statements in one transaction."""
    with transaction(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_lines_lie_in_the_month_of_their_storing(postgresql: Engine) -> None:
    """A migrated database has this month's partition, and a load through the parent finds it."""
    store(postgresql, 0)

    for table, lines in zip(TABLES, (31, 30, 1), strict=True):
        assert {partition_name(table, this_month()): lines} == homes(postgresql, table)


def test_partitions_are_there_ahead(postgresql: Engine) -> None:
    """Months later the next months' partitions are made, once."""
    later = this_month() + timedelta(days=200)
    made = prepare(postgresql, later)

    months = [later.replace(day=1), following(later), following(following(later))]
    assert made == [partition_name(table, month) for table in TABLES for month in months]
    assert prepare(postgresql, later) == []


def test_two_at_once_wait_for_each_other(postgresql: Engine) -> None:
    """Several schedulers at the same time make each partition once."""
    later = this_month() + timedelta(days=400)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: prepare(postgresql, later), range(4)))

    assert len([name for names in made for name in names]) == 3 * len(TABLES)


def test_lines_without_a_partition_are_kept_and_moved(postgresql: Engine) -> None:
    """Rows of months that were never prepared are readable in the default partition, and moved out of it."""
    first = store(postgresql, 0)
    for table in TABLES:
        execute(postgresql, f"UPDATE {table} SET stored_on = '{PAST}' WHERE line_start < 4000")
    in_default = homes(postgresql, "raw_logs")["raw_logs_default"]
    second = store(postgresql, len(first), seed=2)

    assert 0 < in_default < 31
    assert prepare(postgresql) == [
        partition_name(table, PAST) for table in TABLES if table != "rejected_lines"
    ]
    raw = homes(postgresql, "raw_logs")
    assert raw == {
        partition_name("raw_logs", PAST): in_default,
        partition_name("raw_logs", this_month()): 62 - in_default,
    }
    assert b"".join(rebuild(postgresql, 1)) == first + second
    assert audit(postgresql, {KEY: len(first + second)}, deep=True).complete


def test_a_load_is_not_held_up(postgresql: Engine) -> None:
    """While a transaction that stores is open, partitions are made beside it."""
    with transaction(postgresql) as connection:
        LakeStore(postgresql).within(connection, Batch(Source(KEY, "web-1", "/log"), 0, b"a line\n"))

        made = prepare(postgresql, this_month() + timedelta(days=200))

    assert len(made) == 3 * len(TABLES)
    assert b"".join(rebuild(postgresql, 1)) == b"a line\n"


def test_every_partition_has_its_summaries(postgresql: Engine) -> None:
    """The block range index of each partition of the lake is there, and summarised."""
    store(postgresql, 0)
    query = """
        SELECT count(*) FROM pg_partition_tree('ix_raw_logs_source_id_line_start') AS tree
        WHERE isleaf AND brin_summarize_new_values(relid) = 0
    """
    summarise(postgresql)
    with transaction(postgresql) as connection:
        summarised = connection.execute(text(query)).scalar_one()

    assert summarised == 3 * LANES + 1  # three months and the default


def test_sqlite_has_none(sqlite_url: str) -> None:
    """On SQLite there is nothing to prepare."""
    engine = make_engine(sqlite_url)

    assert prepare(engine) == []
    engine.dispose()
