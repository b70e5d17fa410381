"""Who waits for whom in PostgreSQL while writers work, looked at many times a second."""

import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Self

import psycopg2

#: Seconds between two looks; one costs the server less than a millisecond.
LOOK_SECONDS = 0.02
#: Sessions of this database that are busy, that wait for a lock, or for an internal latch; locks not given;
#: and of each wait for a lock: its kind, and how the statement that waits begins.
_LOOK = r"""
SELECT count(*) FILTER (WHERE state = 'active'),
    count(*) FILTER (WHERE wait_event_type = 'Lock'),
    count(*) FILTER (WHERE wait_event_type = 'LWLock'),
    (SELECT count(*) FROM pg_locks WHERE NOT granted),
    coalesce(array_agg(wait_event || ': ' || coalesce(substring(query FROM '^\s*(\S+(\s+[\w.]+){0,2})'), ''))
        FILTER (WHERE wait_event_type = 'Lock'), '{}')
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True)
class Waits:
    """What the looks found.

    Attributes:
        looks: how many there were.
        busy: looks at which two sessions or more were busy at once.
        lock: looks at which a session waited for a lock that another session held.
        not_granted: looks at which pg_locks held a lock that was asked for and not given.
        latch: looks at which a session waited for a latch inside the server.
        deadlocks: that the server broke, in this database since it was made.
        waiting: kind of lock and begin of the statement → looks at which it waited.
    """

    looks: int = 0
    busy: int = 0
    lock: int = 0
    not_granted: int = 0
    latch: int = 0
    deadlocks: int = 0
    waiting: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Waits") -> "Waits":
        """Return the looks of both; deadlocks of different databases add up too."""
        return Waits(
            self.looks + other.looks,
            self.busy + other.busy,
            self.lock + other.lock,
            self.not_granted + other.not_granted,
            self.latch + other.latch,
            self.deadlocks + other.deadlocks,
            self.waiting + other.waiting,
        )


class WaitMeter:
    """Looks at the sessions of a database while it is entered; `waits` holds the result afterwards."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.waits = Waits()

    def __enter__(self) -> Self:
        """Start to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            # Each look is a transaction of its own: inside one the statistics stand still.
            connection.autocommit = True
            while not self._ended.wait(LOOK_SECONDS):
                cursor.execute(_LOOK)
                ((active, lock, latch, not_granted, waiting),) = cursor.fetchall()
                self.waits += Waits(
                    1,
                    busy=int(active > 1),
                    lock=int(lock > 0),
                    not_granted=int(not_granted > 0),
                    latch=int(latch > 0),
                    waiting=Counter(waiting),
                )
            cursor.execute(_DEADLOCKS)
            ((deadlocks,),) = cursor.fetchall()
            self.waits += Waits(deadlocks=deadlocks)
