"""The lane of each line: a table for each writer of a month on PostgreSQL."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = ("raw_logs", "clean_records", "rejected_lines")
# An older version's retention counts no rows in a month of lanes, and would drop it by these functions.
_FUNCTIONS_OF_OLDER_RETENTION = ("sluice_hold_partition(text, date)", "sluice_drop_partition(text, date)")
# They are made again, with lanes, when the migrations are done; a month with rows stays one table.
_DROP_EMPTY_MONTHS = """
DO $$
DECLARE part regclass; is_empty boolean;
BEGIN
    FOR part IN
        SELECT inhrelid FROM pg_inherits JOIN pg_class AS own ON own.oid = inhrelid
        WHERE inhparent = '{table}'::regclass AND relname ~ '_[0-9]{{4}}_[0-9]{{2}}$'
    LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', part) INTO is_empty;
        IF is_empty THEN
            EXECUTE format('DROP TABLE %s', part);
        END IF;
    END LOOP;
END $$
"""
_MAKE_ONE_TABLE_OF_EACH_MONTH = """
DO $$
DECLARE part name; bound text;
BEGIN
    FOR part, bound IN
        SELECT relname, pg_get_expr(relpartbound, own.oid)
        FROM pg_inherits JOIN pg_class AS own ON own.oid = inhrelid
        WHERE inhparent = '{table}'::regclass AND relkind = 'p'
    LOOP
        EXECUTE format('ALTER TABLE {table} DETACH PARTITION %I', part);
        EXECUTE format('ALTER TABLE %I RENAME TO of_lanes', part);
        EXECUTE format('CREATE TABLE %I (LIKE {table} INCLUDING ALL EXCLUDING INDEXES)', part);
        EXECUTE format('INSERT INTO %I SELECT * FROM of_lanes', part);
        DROP TABLE of_lanes;
        EXECUTE format('ALTER TABLE {table} ATTACH PARTITION %I %s', part, bound);
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Add the column; months without rows get a table for each lane."""
    for table in _TABLES:
        op.add_column(table, sa.Column("lane", sa.SmallInteger, nullable=False, server_default="0"))
        if op.get_bind().dialect.name == "postgresql":
            op.execute(_DROP_EMPTY_MONTHS.format(table=table))
    if op.get_bind().dialect.name == "postgresql":
        for function in _FUNCTIONS_OF_OLDER_RETENTION:
            op.execute(f"DROP FUNCTION IF EXISTS {function}")


def downgrade() -> None:
    """Drop the column; each month is one table again."""
    for table in _TABLES:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(_MAKE_ONE_TABLE_OF_EACH_MONTH.format(table=table))
        op.drop_column(table, "lane")
