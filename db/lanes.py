"""Lanes: tables of their own for writers that load at once, so that none waits for another's pages.

PostgreSQL lets one session at a time append pages to a table; the others wait for its lock, `extend` in
pg_stat_activity (https://www.postgresql.org/docs/current/monitoring-stats.html, "Wait Events of Type Lock").
So a month of lines has a table for each lane (partitions.py), and a transaction loads into a lane that nobody
else loads into. SQLite has one writer: there every line is of lane 0.
"""

import os

from sqlalchemy import Connection, text

#: Lanes of a month; of more writers in one stage, those that come last share one.
LANES = 4
#: First keys of the advisory locks, by stage; the second is the lane. Any numbers that no one else uses.
_LOCKS = {"lake": 0x51_0C_1C, "clean": 0x51_0C_1D}
_KEEP = text("SELECT pg_try_advisory_xact_lock(:key, :lane)")
# The limit ends the search at the first lane that is free: no other one is locked.
_FREE = text(
    "SELECT lane FROM generate_series(0, :last) AS lane WHERE pg_try_advisory_xact_lock(:key, lane) LIMIT 1"
)


class Lane:
    """The lane of one writer of a stage, the same as long as nobody else is in it."""

    def __init__(self, stage: str, dialect: str) -> None:
        self._key = _LOCKS[stage]
        self._is_shared = dialect != "postgresql"
        #: The lane that this writer means to take next. Children are numbered one after the other.
        self.number = 0 if self._is_shared else os.getpid() % LANES

    def take(self, connection: Connection) -> int:
        """Return the lane for this transaction; it is held until its end, and never waited for."""
        if self._is_shared or connection.execute(_KEEP, {"key": self._key, "lane": self.number}).scalar():
            return self.number
        free = connection.execute(_FREE, {"key": self._key, "last": LANES - 1}).scalar()
        if free is not None:
            self.number = free
        return self.number
