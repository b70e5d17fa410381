"""The block range indexes of PostgreSQL: kept up to date, and made use of.

An entry per 32 pages instead of one per line costs a load nothing. Two things it needs help with: blocks are
summarised by autovacuum only, at its next round, so fresh ones are not yet; and the planner, which knows
nothing of a table that was never analysed, expects lines to lie anywhere, and would read the table whole.
Reading a segment of one million lines took 250 ms without this help and 10 ms with it.
"""

from sqlalchemy import Connection, Engine, text

from db.engine import transaction

_SUMMARISE = text("""
    SELECT brin_summarize_new_values(index.oid)
    FROM pg_class AS parent
    CROSS JOIN LATERAL pg_partition_tree(parent.oid) AS tree
    JOIN pg_class AS index ON index.oid = tree.relid AND tree.isleaf
    JOIN pg_am ON pg_am.oid = index.relam AND pg_am.amname = 'brin'
    WHERE parent.relkind = 'I' AND NOT parent.relispartition AND pg_table_is_visible(parent.oid)
      AND pg_has_role(index.relowner, 'USAGE') AND current_setting('transaction_read_only') = 'off'
""")
_PREFER = text("""
    SELECT set_config('enable_seqscan', 'off', TRUE), set_config('work_mem', '64MB', TRUE),
           set_config('max_parallel_workers_per_gather', '0', TRUE)
""")


def summarise(engine: Engine) -> None:
    """Summarise what was loaded since the last time, where this role may; a second call finds nothing to do.

    Raises:
        DatabaseUnavailable: the database does not answer, or someone else maintains the tables.
    """
    if engine.dialect.name != "postgresql":
        return
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(_SUMMARISE)


def prefer_summaries(connection: Connection) -> None:
    """Let this transaction read lines by their place, not by reading whole tables, and sort in memory."""
    if connection.dialect.name == "postgresql":
        connection.execute(_PREFER)
