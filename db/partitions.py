"""The partitions of the tables of lines on PostgreSQL: one for each month of storing, and one for the rest.

A month is partitioned again, by lane (lanes.py): loads name the table of theirs, rows of other statements are
routed from the parent. Partitions are made ahead of time, by `migrate` and by beat. Rows of a month without
one go to the table's default partition, so that a load never fails for want of it; they are moved when it is
made.

A month and not a day: a read that knows lines by their place or by their own time, not by when they were
stored, opens every partition. Three years are 36 months, 1.5 ms, 6 ms with four lanes each; or 1,095 days,
160 ms and more locks than a server with default settings has.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from db.engine import transaction

#: The partitioned tables.
TABLES = ("raw_logs", "clean_records", "rejected_lines")
#: Tables of a month, for as many writers of one stage at once.
LANES = 4
#: Months that have their partitions before they begin.
MONTHS_AHEAD = 2
#: The owner's function that does the same for a role that owns no table (db/roles.py).
PREPARE = "sluice_prepare_partitions"
#: Those for retention, which keep a past month's rows as they are, and drop them.
HOLD, DROP = "sluice_hold_month", "sluice_drop_month"
#: What gives the lanes of `parent` its right to INSERT, in the language of PostgreSQL's functions.
SHARE = """
    FOR part, grantee IN
        SELECT tree.relid, acl.grantee FROM pg_class AS own, pg_partition_tree(parent::regclass) AS tree,
            aclexplode(own.relacl) AS acl
        WHERE own.oid = parent::regclass AND tree.isleaf AND tree.level = 2
            AND acl.privilege_type = 'INSERT' AND acl.grantee NOT IN (0, own.relowner)
            AND NOT has_table_privilege(acl.grantee, tree.relid, 'INSERT')
    LOOP
        EXECUTE format('GRANT INSERT ON %s TO %s', part, grantee);
    END LOOP;
"""
#: Key of the advisory lock under which partitions are made; any number that no one else uses.
PARTITION_LOCK = 0x51_0C_1C_E1


def prepare(engine: Engine, today: date | None = None) -> list[str]:
    """Make the partitions that are due and return their names; of two at once, one waits for the other.

    Due are this month's and the next ones', and that of every month whose rows lie in a default partition.
    SQLite has none. Readers and writers go on, but for those of the default partition's rows.

    Raises:
        DatabaseUnavailable: someone reads or writes for longer than a lock is waited for; try again later.
        ConfigurationError: the role does not own the tables, and the owner's function is not there.
    """
    if engine.dialect.name != "postgresql":
        return []
    with transaction(engine) as connection:
        if not _is_owner(connection) and _exists_function(connection):
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            return list(connection.execute(text(f"SELECT {PREPARE}()")).scalars())
    made: list[str] = []
    for table in TABLES:
        # One table at a time, so that the locks of one are gone before the next one's are taken.
        with transaction(engine) as connection:
            made += _prepare_table(connection, table, today or _today())
    return made


def prepare_within(connection: Connection, today: date | None = None) -> list[str]:
    """Make the partitions that are due as part of the caller's transaction, and return their names."""
    if connection.dialect.name != "postgresql":
        return []
    return [name for table in TABLES for name in _prepare_table(connection, table, today or _today())]


def months(connection: Connection, table: str) -> list[date]:
    """Return the months for which a table has a partition, in order; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    names = text(
        "SELECT to_date(right(c.relname, 7), 'YYYY_MM') "
        "FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = to_regclass(:table) AND c.relname ~ :pattern ORDER BY 1"
    )
    pattern = f"^{table}_[0-9]{{4}}_[0-9]{{2}}$"
    return list(connection.execute(names, {"table": table, "pattern": pattern}).scalars())


def hold(connection: Connection, table: str, month: date) -> None:
    """Keep everybody else from changing rows of a month until the transaction ends; they can be read."""
    _as_owner(connection, HOLD, table, month, f"LOCK TABLE {partition_name(table, month)} IN EXCLUSIVE MODE")


def drop(connection: Connection, table: str, month: date) -> None:
    """Drop the partition of a month, with its rows."""
    _as_owner(connection, DROP, table, month, f"DROP TABLE {partition_name(table, month)}")


def _as_owner(connection: Connection, function: str, table: str, month: date, statement: str) -> None:
    if _is_owner(connection):
        connection.execute(text(statement))
    else:
        connection.execute(text(f"SELECT {function}(:table, :month)"), {"table": table, "month": month})


def partition_name(table: str, month: date) -> str:
    """Return the name of a table's partition for a month, such as raw_logs_2026_01."""
    return f"{table}_{month:%Y_%m}"


def lane_name(partition: str, lane: int) -> str:
    """Return the name of a lane's table in a month's partition, such as raw_logs_2026_01_0."""
    return f"{partition}_{lane}"


def default_name(table: str) -> str:
    """Return the name of a table's default partition."""
    return f"{table}_default"


def following(month: date) -> date:
    """Return the first day of the month after that of a day."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def _today() -> date:
    return datetime.now(UTC).date()


def _prepare_table(connection: Connection, table: str, today: date) -> list[str]:
    # A month of misplaced rows may take longer to move than a statement may take elsewhere.
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PARTITION_LOCK})
    months = {*_coming(today), *_misplaced(connection, table)}
    missing = [month for month in sorted(months) if not _exists(connection, partition_name(table, month))]
    for month in missing:
        _make(connection, table, month)
    return [partition_name(table, month) for month in missing]


def _coming(today: date) -> Iterator[date]:
    month = today.replace(day=1)
    for _ in range(1 + MONTHS_AHEAD):
        yield month
        month = following(month)


def _misplaced(connection: Connection, table: str) -> list[date]:
    months = f"SELECT DISTINCT date_trunc('month', stored_on)::date FROM {default_name(table)}"  # noqa: S608 - our names
    return list(connection.execute(text(months)).scalars())


def _is_owner(connection: Connection) -> bool:
    owner = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(:name)"
    return bool(connection.execute(text(owner), {"name": TABLES[0]}).scalar())


def _exists_function(connection: Connection) -> bool:
    found = connection.execute(text("SELECT to_regprocedure(:name) IS NOT NULL"), {"name": f"{PREPARE}()"})
    return bool(found.scalar())


def _exists(connection: Connection, name: str) -> bool:
    return bool(connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}).scalar())


def _make(connection: Connection, table: str, month: date) -> None:
    name, default = partition_name(table, month), default_name(table)
    low, high = f"'{month}'", f"'{following(month)}'"
    rows = f"{default} WHERE stored_on >= {low} AND stored_on < {high}"
    steps = (
        # Attached and not created in place, which would lock the whole table against readers and writers.
        f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY LIST (lane)",
        *(step for lane in range(LANES) for step in _lane_steps(name, lane)),
        # Whoever stored into the default partition meanwhile would make the last step fail.
        f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE",
        f"WITH moved AS (DELETE FROM {rows} RETURNING *) INSERT INTO {name} SELECT * FROM moved",  # noqa: S608
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
        share_lanes(table),
    )
    for step in steps:
        connection.execute(text(step))


def _lane_steps(partition: str, lane: int) -> tuple[str, str]:
    name = lane_name(partition, lane)
    values = f"FOR VALUES IN ({lane})" if lane < LANES - 1 else "DEFAULT"
    return (
        f"CREATE TABLE {name} PARTITION OF {partition} {values}",
        # For loads that name the table: their rows do not name the lane.
        f"ALTER TABLE {name} ALTER COLUMN lane SET DEFAULT {lane}",
    )


def share_lanes(table: str) -> str:
    """Return the statement that lets who may add rows to a table do so in its lanes, which loads name."""
    return f"DO $$ DECLARE parent text := '{table}'; part regclass; grantee regrole; BEGIN {SHARE} END $$"
