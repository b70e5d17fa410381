"""PostgreSQL stopped, its sessions ended, read-only and full: the pools wait, and no batch is given up."""

import pytest

from tests.faults.databases import execute
from tests.faults.invariant import Unfinished, settle
from tests.faults.system import System
from tests.faults.writer import Writer
from tests.services import PrivatePostgres

pytestmark = pytest.mark.faults
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_every_line_is_stored_once(system: System, writer: Writer, unfinished: Unfinished) -> None:
    """Without a fault the invariant holds: what the other tests compare with."""
    writer.write(500)

    settle(system, writer, unfinished)


def test_database_stopped_for_a_while(
    system: System, writer: Writer, postgres: PrivatePostgres, unfinished: Unfinished
) -> None:
    """Fifteen seconds without a database hold the batches back in their queues."""
    writer.write(200)
    postgres.stop("immediate")
    writer.write_for(15, rate=50)
    postgres.start()

    settle(system, writer, unfinished)


def test_sessions_ended_again_and_again(system: System, writer: Writer, unfinished: Unfinished) -> None:
    """A batch whose session the server ends is stored by the next one, once."""
    for _ in range(10):
        writer.write_for(1, rate=300)
        execute(system.place.database_url, END_SESSIONS)

    settle(system, writer, unfinished)


def test_read_only_database(
    system: System, writer: Writer, postgres: PrivatePostgres, unfinished: Unfinished
) -> None:
    """A database that refuses writes for a while, as a standby does, is waited for."""
    url = system.place.database_url
    name = url.rpartition("/")[2]
    execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on", END_SESSIONS)
    writer.write_for(4, rate=200)
    execute(postgres.url, f"ALTER DATABASE {name} RESET ALL")

    settle(system, writer, unfinished)
