"""Real pools in trouble: foreign messages, errors, a database that is away, children and pools killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kombu
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from db.engine import make_engine
from pipeline import protocol, topology
from pipeline.depths import queue_depths
from pipeline.publish import connect
from pipeline.settings import Settings
from tests.acceptance.pools import CLEAN, LAKE, System, make_batch
from tests.services import PrivatePostgres, ServiceMissing, wait_until

pytestmark = pytest.mark.slow


#: Bodies that no worker can decode, by content type.
FOREIGN = {
    "application/x-python-serialize": b"\x80\x04N.",
    "application/x-msgpack": b"\xc1 not msgpack",
    "text/plain": b"garbage",
    "application/json": b'{"half":',
}


def test_foreign_messages_are_dead_letters(on_servers: System) -> None:
    """What no worker can decode, or whose task no worker knows, is kept by the broker; the pool goes on."""
    on_servers.start_both()
    with connect(on_servers.settings) as connection:
        topology.declare(connection)
        headers = {"task": topology.BATCH_TASK, "id": "x", "root_id": make_batch().id, "lang": "py"}
        for content_type, body in FOREIGN.items():
            for given in (headers, {}):
                kombu.Producer(connection.channel()).publish(
                    body,
                    exchange="",
                    routing_key=LAKE,
                    headers=given,
                    content_type=content_type,
                    content_encoding="binary",
                )
        kombu.Producer(connection.channel()).publish(
            ((), {}, {}),
            exchange="",
            routing_key=LAKE,
            serializer="msgpack",
            headers={"task": "no.such.task", "id": "x", "lang": "py"},
        )
    on_servers.wait_for_dead(LAKE, 2 * len(FOREIGN) + 1)
    on_servers.publish(make_batch())

    on_servers.wait_for_rows(10)


def test_unknown_error_is_tried_again_and_then_a_dead_letter(on_servers: System) -> None:
    """A batch that fails for no known reason stays in its own queue, and ends with its traceback."""
    on_servers.start_both()
    _execute(on_servers, "ALTER TABLE clean_records ADD CHECK (host IS NOT NULL)")
    on_servers.publish(make_batch())
    (letter,) = on_servers.wait_for_dead(CLEAN, 1)

    assert letter.traceback
    assert letter.batch == make_batch()
    assert on_servers.count("raw_logs") == 10
    assert queue_depths(on_servers.settings)[LAKE] == (0, 0)


def test_batches_wait_for_a_missing_column(on_servers: System) -> None:
    """A schema that is behind fails every batch: they wait for a person, and none becomes a dead letter."""
    on_servers.start_both()
    _execute(on_servers, "ALTER TABLE clean_records RENAME COLUMN line_start TO elsewhere")
    on_servers.publish(make_batch())
    wait_until(lambda: "python -m pipeline migrate" in on_servers.logs, "the pool to say what to do")
    _execute(on_servers, "ALTER TABLE clean_records RENAME COLUMN elsewhere TO line_start")
    on_servers.wait_for_rows(10)

    assert queue_depths(on_servers.settings)[CLEAN].dead == 0


def _execute(system: System, statement: str) -> None:
    engine = make_engine(system.settings.sqlalchemy_url)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def test_batches_wait_for_a_stopped_database(broker: str, tmp_path: Path) -> None:
    """While the database is away nothing is a dead letter; when it is back everything is stored."""
    from db import schema  # noqa: PLC0415 - only this test makes a database by itself

    try:
        node = PrivatePostgres()
        with node:
            settings = Settings.from_environment(
                state_dir=tmp_path / "var",
                broker_url=SecretStr(broker),
                database_url=SecretStr(node.url),
            )
            schema.upgrade(node.url)
            with System(settings, tmp_path) as system:
                _outage(system, node)
    except ServiceMissing as reason:
        pytest.skip(str(reason))


def _outage(system: System, node: PrivatePostgres) -> None:
    system.start_both()
    system.publish(make_batch(0))
    system.wait_for_rows(10)
    node.kill()
    system.publish(*(make_batch(number) for number in range(1, 6)))
    wait_until(lambda: system.logs.count("waiting: ") >= 4, "both pools to wait")
    assert [depth.dead for depth in queue_depths(system.settings).values()] == [0, 0, 0]
    node.start()
    system.wait_for_rows(60)
    assert (system.count("raw_logs"), system.count("clean_logs")) == (60, 60)


def test_killed_child_gives_its_batch_back(system: System) -> None:
    """Children killed while batches flow lose nothing and double nothing."""
    system.start_both()
    system.publish(make_batch(0))
    system.wait_for_rows(10)
    for pool in system.pools:
        for child in _children(pool.pid):
            os.kill(child, signal.SIGKILL)
    system.publish(*(make_batch(number, 10) for number in range(1, 11)))
    system.wait_for_rows(110)

    assert (system.count("raw_logs"), system.count("clean_logs")) == (110, 110)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def test_killed_pool_leaves_its_batches_to_the_next(system: System) -> None:
    """A pool killed with batches in hand is replaced, and the replacement stores them."""
    system.start_both()
    system.publish(*(make_batch(number, 10) for number in range(30)))
    for pool in system.pools:
        pool.kill()
    system.start_both()
    system.wait_for_rows(300)

    assert (system.count("raw_logs"), system.count("clean_logs")) == (300, 300)


def test_repair_scheduled_by_beat_mends_a_gap(system: System) -> None:
    """A message lost by the broker comes back from the lake, without a hand."""
    system.publish(make_batch(0))
    with connect(system.settings) as connection, connection.channel() as channel:
        wait_until(lambda: queue_depths(system.settings)[CLEAN].messages == 1, "the message")
        channel.queue_purge(CLEAN)
        _order_repair(channel)
    system.start(LAKE)
    wait_until(lambda: system.count("raw_logs") == 10, "the lake")
    system.start(CLEAN)
    _trigger_until(system, lambda: system.count("clean_logs") == 10)

    assert system.count("clean_logs") == 10


def _order_repair(channel: Any) -> None:
    kombu.Producer(channel).publish(
        ((), {}, {}),
        exchange="",
        routing_key=topology.MAINTENANCE,
        serializer="msgpack",
        headers=protocol.headers("audit.repair", make_batch().id),
        correlation_id="r",
    )


def _trigger_until(system: System, done: Callable[[], bool]) -> None:
    def trigger() -> bool:
        with connect(system.settings) as connection, connection.channel() as channel:
            if queue_depths(system.settings)[topology.MAINTENANCE].messages == 0:
                _order_repair(channel)
        return done()

    wait_until(trigger, "the repair")
