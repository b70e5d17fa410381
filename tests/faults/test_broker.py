"""RabbitMQ out of memory, closing connections, killed, losing a queue or a binding, delivering twice."""

from collections.abc import Iterator

import kombu
import pytest

from pipeline import topology
from pipeline.cli.children import BEAT
from pipeline.depths import queue_depths
from pipeline.topology import DATA_QUEUES, ROUTING_KEY, Stage
from tests.faults.doubling import doubling
from tests.faults.invariant import Unfinished, count_stored, settle, wait_stored
from tests.faults.system import System
from tests.faults.writer import Writer
from tests.services import PrivateRabbit, wait_until

pytestmark = pytest.mark.faults


def test_memory_alarm(system: System, writer: Writer, rabbit: PrivateRabbit, unfinished: Unfinished) -> None:
    """A broker that holds publishers back stops the reading; afterwards everything arrives."""
    writer.write(100)
    wait_stored(system, writer)
    rabbit.ctl("set_vm_memory_high_watermark", "0")
    try:
        writer.write_for(5, rate=200)
        assert max(count_stored(system, writer)) < writer.count
    finally:
        rabbit.ctl("set_vm_memory_high_watermark", "0.4")

    settle(system, writer, unfinished)


def test_pools_empty_queues_under_an_alarm(
    system: System, writer: Writer, rabbit: PrivateRabbit, unfinished: Unfinished
) -> None:
    """What was queued before a memory alarm is stored during it: no pool waits for confirms of events."""
    for stage in Stage:
        system.stop(stage.value)
    writer.write(1000)
    wait_until(
        lambda: min(_waiting(system)) >= 1000 // 50, "every batch to be queued", seen=lambda: _waiting(system)
    )
    rabbit.ctl("set_vm_memory_high_watermark", "0")
    try:
        for stage in Stage:
            system.start(stage.value)
        wait_stored(system, writer)
    finally:
        rabbit.ctl("set_vm_memory_high_watermark", "0.4")

    settle(system, writer, unfinished)


def _waiting(system: System) -> list[int]:
    depths = queue_depths(system.settings)
    return [depths[stage.queue_name].messages for stage in Stage]


def test_closed_connections(
    system: System, writer: Writer, rabbit: PrivateRabbit, unfinished: Unfinished
) -> None:
    """An operator who closes every connection, five times, loses nothing."""
    with writer.writing(rate=300, most=5000):
        for _ in range(5):
            count = writer.count
            wait_until(lambda count=count: writer.count > count + 300, "a second of lines")
            rabbit.ctl("close_all_connections", "--global", "test")

    settle(system, writer, unfinished)


def test_broker_killed(system: System, writer: Writer, rabbit: PrivateRabbit, unfinished: Unfinished) -> None:
    """`kill -9` of the broker under load loses no batch that it confirmed."""
    with writer.writing(rate=500, most=8000):
        wait_until(lambda: writer.count > 500, "the first lines")
        rabbit.kill()
        rabbit.start()

    settle(system, writer, unfinished)


def test_every_message_delivered_twice(system: System, writer: Writer, unfinished: Unfinished) -> None:
    """Two copies of each batch, side by side, make each line one row of each stage."""
    with doubling(system) as copies:
        writer.write(2000)
        wait_stored(system, writer)
        wait_until(lambda: copies[0] >= 40, "the copies of all batches")

    settle(system, writer, unfinished)


@pytest.fixture
def scheduled(system: System) -> Iterator[System]:
    """Return the system with the scheduler, which audits and repairs every two seconds."""
    system.start(BEAT)
    yield system
    system.stop(BEAT)


def test_deleted_queue(scheduled: System, writer: Writer, unfinished: Unfinished) -> None:
    """A data queue that someone deletes is declared again, and what was in it is repaired."""
    writer.write(200)
    wait_stored(scheduled, writer)
    with writer.writing(rate=300, most=3000):
        delete_queue(scheduled, Stage.CLEAN)
        wait_until(lambda: writer.count >= 1500, "lines that find no queue")

    settle(scheduled, writer, unfinished)


def delete_queue(system: System, stage: Stage) -> None:
    """Delete the data queue of a stage with everything in it."""
    with kombu.Connection(system.settings.broker_url.get_secret_value()) as connection:
        connection.default_channel.queue_delete(stage.queue_name)


def test_deleted_binding(scheduled: System, writer: Writer, unfinished: Unfinished) -> None:
    """A binding that someone deletes is made again, and what it should have carried is repaired."""
    writer.write(200)
    wait_stored(scheduled, writer)
    with kombu.Connection(scheduled.settings.broker_url.get_secret_value()) as connection:
        DATA_QUEUES[Stage.CLEAN](connection.default_channel).unbind_from(topology.LOGS, ROUTING_KEY)
    writer.write_for(2, rate=300)

    settle(scheduled, writer, unfinished)
