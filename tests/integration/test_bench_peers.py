"""Each peer that is installed stores every line, and one that does not is found out."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from bench.peers import fields, tables
from bench.peers.pathway import PATHWAY
from bench.peers.peer import Peer, Programs, Where
from bench.peers.rsyslog import RSYSLOG
from bench.peers.syslog_ng import SYSLOG_NG
from bench.peers.trial import measure
from bench.servers import DURABILITY, Servers
from bench.sides import make_sample
from tests.services import PrivatePostgres, PrivateRabbit

LINES = 2000
NAMES = ", ".join(fields.NAMES)
VALUES = "'-', '-', '-', now(), '-', '-', '-', 200, 0, '-', '-'"
#: Stores two lines in one table, none in the other, and ends with an error.
CARELESS = """
import os, psycopg2
with psycopg2.connect(os.environ["PEER_DATABASE_URL"]) as connection:
    connection.cursor().execute("INSERT INTO peer_raw (line) VALUES ('first'), ('second')")
raise SystemExit("no more")
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A PostgreSQL of our own, and a RabbitMQ that none of these peers needs: it is not started."""
    with PrivatePostgres(None, **DURABILITY) as postgres:
        yield Servers(PrivateRabbit(tmp_path_factory.mktemp("rabbit")), postgres)


@pytest.mark.parametrize("peer", [RSYSLOG, SYSLOG_NG, PATHWAY], ids=lambda peer: peer.name)
def test_a_peer_stores_every_line(peer: Peer, own: Servers, tmp_path: Path) -> None:
    """Both tables hold the rows of the log, and the processor time of database and peer is known."""
    entry = measure(peer, own, make_sample(tmp_path, LINES), tmp_path)
    if entry.remark.startswith("not installed"):
        pytest.skip(f"{peer.name} is {entry.remark}")

    assert entry.remark == ""
    assert entry.run is not None
    assert entry.run.lines == LINES
    assert entry.run.usage.cpu_seconds["send"] > 0
    assert entry.run.usage.cpu_seconds["postgresql"] > 0


def test_keys_that_a_rollback_used_up_are_no_rows(empty_postgresql_url: str) -> None:
    """Progress is read from the keys, completeness from the rows."""
    url = empty_postgresql_url
    tables.create(url)
    with closing(psycopg2.connect(url)) as connection:
        for end in (connection.rollback, connection.commit):
            connection.cursor().execute("INSERT INTO peer_raw (line) VALUES ('a')")
            connection.cursor().execute(f"INSERT INTO peer_clean ({NAMES}) VALUES ({VALUES})")
            end()

    assert [tables.stored_lines(url, lines) for lines in (1, 2, 3)] == [1, 1, 2]
    assert tables.stored(url) == tables.Stored(1, 1, 1)
    tables.engine(url).dispose()


def test_a_peer_that_gives_up_is_found_out(own: Servers, tmp_path: Path) -> None:
    """What it did not store, how it ended and its last words are in its entry, and it has no figure."""

    def careless(where: Where) -> Programs:
        return Programs([], "", [sys.executable, "-c", CARELESS])

    entry = measure(Peer("careless", LINES, "", careless), own, make_sample(tmp_path, LINES), tmp_path)

    assert entry.run is None
    assert entry.remark == (
        "raw holds 2 rows of 2,000 lines, clean holds 0 rows of 2,000 lines; send ended with 1: no more"
    )
