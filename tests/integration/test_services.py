"""The services that other tests lean on: isolated, restartable, gone afterwards."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kombu
import psutil
import psycopg2
import pytest
from sqlalchemy import Engine, text

from pipeline import topology
from tests.services import PrivatePostgres, PrivateRabbit, broker_answers, database_answers, wait_until

#: A test session that is interrupted once its servers run.
INTERRUPTED = """
import os, signal, pathlib, psutil
def test_interrupted(broker_url, postgresql_server):
    children = psutil.Process().children(recursive=True)
    pathlib.Path(os.environ["CHILDREN"]).write_text(" ".join(str(child.pid) for child in children))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it ignored
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.fixture
def rabbit() -> Iterator[PrivateRabbit]:
    """A RabbitMQ node that a test may kill."""
    with PrivateRabbit() as node:
        yield node


@pytest.fixture
def postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL server that a test may kill."""
    with PrivatePostgres() as server:
        yield server


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_an_empty_database(engine: Engine, turn: str) -> None:
    """What one test stores, the next does not see, on both kinds of database."""
    insert = "INSERT INTO formats (name, version) VALUES ('once', 1)"

    with engine.begin() as connection:
        before = connection.execute(text("SELECT count(*) FROM formats WHERE name = 'once'")).scalar_one()
        connection.execute(text(insert))

    assert before == 0, turn


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_an_empty_broker(broker: str, turn: str) -> None:
    """What one test publishes, the next does not find."""
    with kombu.Connection(broker) as connection:
        topology.declare(connection)
        with connection.channel() as channel:
            queue = topology.DATA_QUEUES[topology.Stage.LAKE](channel)
            before = queue.queue_declare(passive=True)[1]
            connection.Producer(channel).publish(
                "x", exchange=topology.LOGS.name, routing_key=topology.ROUTING_KEY
            )

    assert before == 0, turn


@pytest.mark.faults
def test_a_killed_broker_comes_back_with_its_messages(rabbit: PrivateRabbit) -> None:
    """A kill ends every connection; after the start on the same port a confirmed message is still there."""
    with kombu.Connection(rabbit.url, transport_options={"confirm_publish": True}) as connection:
        topology.declare(connection)
        connection.Producer().publish("kept", exchange="logs", routing_key="logs", delivery_mode=2)

    rabbit.kill()
    was_away = not broker_answers(rabbit.url)
    rabbit.start()

    assert was_away
    with kombu.Connection(rabbit.url) as connection:
        queue = topology.DATA_QUEUES[topology.Stage.CLEAN](connection.default_channel)
        message = wait_until(queue.get, "the message after the restart")
        assert message.payload == "kept"


@pytest.mark.faults
@pytest.mark.parametrize("end", ["kill", "smart", "fast", "immediate"])
def test_a_stopped_database_comes_back_with_its_rows(postgres: PrivatePostgres, end: str) -> None:
    """However a server ends, after the start on the same port what was committed is there."""
    with contextlib.closing(psycopg2.connect(postgres.url)) as connection, connection:
        connection.cursor().execute("CREATE TABLE kept AS SELECT 1 AS x")

    if end == "kill":
        postgres.kill()
    else:
        postgres.stop(end)
    was_away = not database_answers(postgres.url)
    postgres.start()

    assert was_away
    with contextlib.closing(psycopg2.connect(postgres.url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT x FROM kept")
        assert cursor.fetchall() == [(1,)]


@pytest.mark.faults
def test_nodes_side_by_side_form_a_cluster(rabbit: PrivateRabbit) -> None:
    """A second node beside the first one shares its cookie and joins it."""
    with PrivateRabbit(beside=rabbit) as second:
        second.ctl("stop_app")
        second.ctl("join_cluster", rabbit.node)
        second.ctl("start_app")

        assert second.node in rabbit.ctl("cluster_status")


@pytest.mark.faults
def test_an_interrupted_session_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle of the tests ends the servers that they started, and removes their folders."""
    root = Path(__file__).parents[2]
    test = root / "tests" / "integration" / f"interrupted_{os.getpid()}.py"
    test.write_text(INTERRUPTED)
    environment = {**os.environ, "CHILDREN": str(tmp_path / "children"), "TMPDIR": str(tmp_path)}
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
            cwd=root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        test.unlink()

    assert ended.returncode == pytest.ExitCode.INTERRUPTED, ended.stdout
    children = [int(pid) for pid in (tmp_path / "children").read_text().split()]
    assert len(children) >= 3
    assert not [pid for pid in children if psutil.pid_exists(pid)]
    assert not list(tmp_path.glob("sluice-*"))
