"""Writers that wait for each other are seen, and writers that do not are not accused."""

import threading
from contextlib import closing

import psycopg2
import pytest

from bench.waits import WaitMeter
from tests.services import wait_until


@pytest.fixture
def table(empty_postgresql_url: str) -> str:
    """URL of a database with a table of keys."""
    with closing(psycopg2.connect(empty_postgresql_url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE TABLE keys (key integer PRIMARY KEY)")
    return empty_postgresql_url


def add(url: str, key: int) -> None:
    """Insert a key in a transaction of its own."""
    with closing(psycopg2.connect(url)) as connection, connection:
        connection.cursor().execute("INSERT INTO keys VALUES (%s) ON CONFLICT DO NOTHING", (key,))


def test_a_writer_that_waits_for_another_is_seen(table: str) -> None:
    """The kind of lock and the statement are told."""
    with closing(psycopg2.connect(table)) as first, WaitMeter(table) as meter:
        first.cursor().execute("INSERT INTO keys VALUES (1)")
        second = threading.Thread(target=add, args=(table, 1))
        second.start()
        wait_until(lambda: meter.waits.lock > 2, "the wait to be seen")
        first.commit()
        second.join()

    assert meter.waits.lock == meter.waits.waiting["transactionid: INSERT INTO keys"] > 2
    assert meter.waits.not_granted > 0
    assert meter.waits.deadlocks == 0


def test_writers_of_different_rows_do_not_wait(table: str) -> None:
    """Two open transactions that have nothing to do with each other are no wait."""
    with closing(psycopg2.connect(table)) as first, WaitMeter(table) as meter:
        first.cursor().execute("INSERT INTO keys VALUES (1)")
        add(table, 2)
        wait_until(lambda: meter.waits.looks > 2, "some looks")

    assert (meter.waits.lock, meter.waits.not_granted, sum(meter.waits.waiting.values())) == (0, 0, 0)
