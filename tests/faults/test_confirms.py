"""Confirms late, lost, negative and cut off: the watcher publishes again, and the ledger stores once."""

from collections.abc import Iterator

import pytest

from pipeline.cli.children import WATCHER
from pipeline.depths import queue_depths
from pipeline.topology import DATA_QUEUES, Stage
from tests.faults.databases import virtual_host
from tests.faults.invariant import Unfinished, settle, wait_stored
from tests.faults.proxy import Proxy
from tests.faults.system import CLEAN, LAKE, Role, System
from tests.faults.writer import Writer
from tests.services import PrivateRabbit, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def proxy(system: System, rabbit: PrivateRabbit) -> Iterator[Proxy]:
    """Return a proxy between the watcher and its broker."""
    with Proxy(rabbit.port) as between:
        url = system.place.broker_url.replace(f":{rabbit.port}/", f":{between.port}/")
        system.start(WATCHER, Role({"BROKER_URL": url}))
        yield between
        system.start(WATCHER)


def test_confirms_that_come_late(
    system: System, writer: Writer, proxy: Proxy, unfinished: Unfinished
) -> None:
    """A slow broker slows the watcher down, and that is all."""
    proxy.delay_seconds = 0.3
    writer.write(500)

    settle(system, writer, unfinished)


def test_lost_confirms(system: System, writer: Writer, proxy: Proxy, unfinished: Unfinished) -> None:
    """A batch whose confirm never comes is published again after the deadline, and stored once."""
    writer.write(100)
    wait_stored(system, writer)
    proxy.swallowing = True
    writer.write(50)
    wait_until(lambda: proxy.swallowed_bytes > 0, "a confirm to be lost")
    proxy.swallowing = False
    wait_until(lambda: "known_bytes=0" not in last_result(system, LAKE), "the second copy of the batch")
    writer.write(50)

    settle(system, writer, unfinished)


def last_result(system: System, stage: str) -> str:
    """Return what the last batch of a stage came to, from its log."""
    return system.log(stage).rpartition("Stored(")[2].partition(")")[0]


def test_watcher_killed_between_publish_and_confirm(
    system: System, writer: Writer, proxy: Proxy, unfinished: Unfinished
) -> None:
    """What the broker took and never confirmed is published again by the next watcher, and stored once."""
    writer.write(100)
    wait_stored(system, writer)
    proxy.swallowing = True
    writer.write(50)
    wait_stored(system, writer)
    assert system.kill(WATCHER)
    proxy.swallowing = False
    wait_until(lambda: "known_bytes=0" not in last_result(system, LAKE), "the second copy of the batch")

    settle(system, writer, unfinished)


def test_connection_cut_again_and_again(
    system: System, writer: Writer, proxy: Proxy, unfinished: Unfinished
) -> None:
    """A connection that breaks in the middle of a batch is made anew."""
    with writer.writing(rate=300, most=3000):
        for count in range(1, 9):
            wait_until(lambda count=count: writer.count > 250 * count, "more lines")
            proxy.cut()

    settle(system, writer, unfinished)


def test_negative_confirms(
    system: System, writer: Writer, rabbit: PrivateRabbit, unfinished: Unfinished
) -> None:
    """A queue that is full refuses: the watcher waits, and goes on when there is room."""
    writer.write(50)
    wait_stored(system, writer)
    system.stop(CLEAN)
    full = DATA_QUEUES[Stage.CLEAN].name
    host = virtual_host(system.place.broker_url)
    rabbit.ctl("set_policy", "-p", host, "full", f"^{full}$", '{"max-length":1}', "--apply-to", "queues")
    writer.write(500)
    wait_until(lambda: "blocked" in system.log(WATCHER), "the broker to refuse")
    assert queue_depths(system.settings)[full].messages < 10
    rabbit.ctl("clear_policy", "-p", host, "full")
    system.start(CLEAN)

    settle(system, writer, unfinished)
