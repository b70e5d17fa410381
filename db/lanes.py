"""Lanes: tables of their own for writers that load at once, so that none waits for another's pages.

PostgreSQL lets one session at a time append pages to a table; the others wait for its lock, `extend` in
pg_stat_activity (https://www.postgresql.org/docs/current/monitoring-stats.html, "Wait Events of Type Lock").
So a month of lines has a table for each lane (partitions.py), and a transaction loads into those of a lane
that nobody else is in. SQLite has one writer, and one table.
"""

import os
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from db.ledger import CLEAN, LAKE
from db.partitions import LANES, lane_name, partition_name

_TABLES = {LAKE: ("raw_logs",), CLEAN: ("clean_records", "rejected_lines")}
#: First keys of the advisory locks; the second is the lane. Any numbers that no one else uses.
_LOCKS = {LAKE: 0x51_0C_1C, CLEAN: 0x51_0C_1D}
# Tables that are not there, or that this role may not load into: the parents take the lines then.
_ENTER = """
SELECT pg_try_advisory_xact_lock(:key, :lane),
    (SELECT bool_and(coalesce(has_table_privilege(to_regclass(name || :suffix), 'INSERT'), FALSE))
     FROM unnest(:tables) AS name)
"""
# The limit ends the search at the first lane that is free: no other one is locked.
_FREE = """
SELECT lane FROM generate_series(0, :last) AS lane WHERE pg_try_advisory_xact_lock(:key, lane) LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Tables:
    """Where a transaction loads lines: its connection, and what follows the names of the tables."""

    connection: Connection
    suffix: str = ""


class Lane:
    """The lane of one writer of a stage, the same as long as nobody else is in it."""

    def __init__(self, stage: str, dialect: str) -> None:
        self._stage = stage
        self._has_lanes = dialect == "postgresql"
        #: The lane that this writer tries first. Children are numbered one after the other.
        self.number = os.getpid() % LANES

    def enter(self, connection: Connection, day: date) -> Tables:
        """Return the tables for lines stored on a day, this writer's alone until the transaction ends.

        Nothing is waited for: of more writers than lanes, those that come last share one.
        """
        if not self._has_lanes:
            return Tables(connection)
        is_free, has_tables = self._try(connection, day)
        if not is_free:
            values = {"key": _LOCKS[self._stage], "last": LANES - 1}
            free = connection.execute(text(_FREE), values).scalar()
            if free is not None:
                self.number = free
                _, has_tables = self._try(connection, day)
        return Tables(connection, self._suffix(day) if has_tables else "")

    def _try(self, connection: Connection, day: date) -> tuple[bool, bool]:
        """Return whether nobody else is in the lane, and whether it can be loaded into."""
        values = {"key": _LOCKS[self._stage], "lane": self.number, "suffix": self._suffix(day)}
        row = connection.execute(text(_ENTER), {**values, "tables": list(_TABLES[self._stage])}).one()
        return row[0], row[1]

    def _suffix(self, day: date) -> str:
        return lane_name(partition_name("", day), self.number)
