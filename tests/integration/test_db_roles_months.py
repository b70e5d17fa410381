"""Months as the roles have them: made for them, loaded into by pools, dropped when past."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text

from db import partitions
from db.audit import audit
from db.engine import make_engine, transaction
from db.lanes import Lane
from db.retention import UNCOUNTED, expire
from db.roles import CLEAN, LAKE, MAINTENANCE
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch
from tests.integration.provisioned import BATCH, SOURCE, as_role


def test_maintenance_prepares_months_that_it_does_not_own(provisioned: str) -> None:
    """The owner's function makes the same partitions as the owner, moves what lies in the default one."""
    owner, mender = make_engine(provisioned), make_engine(as_role(provisioned, MAINTENANCE))
    month = datetime.now(UTC).date().replace(day=1)  # the month that was just prepared by the migration
    names = [partitions.partition_name(table, month) for table in partitions.TABLES]
    with transaction(owner) as connection:
        leaves = text(
            "SELECT array_agg(name ORDER BY name) FROM "
            "(SELECT relid::text AS name FROM pg_partition_tree('raw_logs') WHERE isleaf) AS leaves"
        )
        made_by_the_owner = connection.execute(leaves).scalar()
        for table, name in zip(partitions.TABLES, names, strict=True):
            connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {name}"))
            connection.execute(text(f"INSERT INTO {table} SELECT * FROM {name}"))
            connection.execute(text(f"DROP TABLE {name}"))

    assert partitions.prepare(mender) == names

    with transaction(owner) as connection:
        assert connection.execute(leaves).scalar() == made_by_the_owner
        assert connection.execute(text("SELECT count(*) FROM raw_logs_default")).scalar() == 0
        assert connection.execute(text(f"SELECT count(*) FROM {names[0]}")).scalar() == 4
        owners = "SELECT count(DISTINCT relowner) FROM pg_class WHERE relname LIKE 'raw_logs%'"
        assert connection.execute(text(owners)).scalar() == 1
    assert partitions.prepare(mender) == partitions.prepare(owner) == []
    for engine in (owner, mender):
        engine.dispose()


@pytest.mark.parametrize("maker", ["the owner", "the owner's function"])
def test_pools_load_into_the_lanes_of_months_made_later(provisioned: str, maker: str) -> None:
    """Whoever makes a month after the roles were made: each pool may name the tables of its lane."""
    owner, mender = make_engine(provisioned), make_engine(as_role(provisioned, MAINTENANCE))
    with transaction(owner) as connection:
        for table in partitions.TABLES:
            for month in partitions.months(connection, table):
                connection.execute(text(f"DROP TABLE {partitions.partition_name(table, month)}"))
    partitions.prepare(owner if maker == "the owner" else mender)

    for stage, store, table in ((LAKE, LakeStore, "raw_logs"), (CLEAN, CleanStore, "clean_records")):
        pool, today = make_engine(as_role(provisioned, stage)), datetime.now(UTC).date()
        with transaction(pool) as connection:
            assert Lane(stage, "postgresql").enter(connection, today).suffix
        assert store(pool).store(Batch(SOURCE, BATCH.end, BATCH.block)).new_bytes == len(BATCH.block)
        with transaction(owner) as connection:
            home = connection.execute(text(f"SELECT DISTINCT tableoid::regclass::text FROM {table}")).scalar()
        month = partitions.partition_name(table, today)
        assert home in [partitions.lane_name(month, lane) for lane in range(partitions.LANES)]
        pool.dispose()
    for engine in (owner, mender):
        engine.dispose()


def test_maintenance_drops_past_months_and_no_others(provisioned: str) -> None:
    """Retention as its role drops a month that it does not own; the functions reach no other table."""
    owner, mender = make_engine(provisioned), make_engine(as_role(provisioned, MAINTENANCE))
    past, now = date(2020, 2, 1), datetime.now(UTC)
    with transaction(owner) as connection:
        bounds = "FOR VALUES FROM ('2020-02-01') TO ('2020-03-01') PARTITION BY LIST (lane)"
        connection.execute(text(f"CREATE TABLE raw_logs_2020_02 PARTITION OF raw_logs {bounds}"))
        connection.execute(text("CREATE TABLE raw_logs_2020_02_3 PARTITION OF raw_logs_2020_02 DEFAULT"))
        connection.execute(text("UPDATE raw_logs SET stored_on = '2020-02-03'"))
        connection.execute(text("UPDATE segments SET stored_at = '2020-02-03'"))
        month = partitions.partition_name("raw_logs", now.date().replace(day=1))
        for name, day in (("raw_logs", now.date().replace(day=1)), ("segments", past)):
            connection.execute(text(f"SELECT {partitions.DROP}(:name, :day)"), {"name": name, "day": day})

    done = expire(mender, lambda _, table: 30 if table == "lake" else None)
    refused = expire(mender, lambda _, table: 30 if table in ("clean", "findings", "drifts") else None)

    assert (done.partitions, done.lines) == (["raw_logs_2020_02"], 4)
    assert [held.reason for held in refused.held] == [UNCOUNTED]
    with transaction(owner) as connection:
        assert connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": month}).scalar()
    assert audit(owner, {SOURCE.key: BATCH.end}, deep=True).complete
    for engine in (owner, mender):
        engine.dispose()
