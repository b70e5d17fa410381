"""Three RabbitMQ nodes: the one that everyone is connected to dies and comes back under load."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest

from tests.faults.conftest import count_unfinished
from tests.faults.databases import new_database
from tests.faults.invariant import count_stored, settle, wait_stored
from tests.faults.system import Place, running
from tests.services import PrivatePostgres, PrivateRabbit, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def cluster() -> Iterator[list[PrivateRabbit]]:
    """Return three nodes that form a cluster."""
    with ExitStack() as stack:
        first = stack.enter_context(PrivateRabbit())
        others = [PrivateRabbit(beside=first) for _ in range(2)]
        with ThreadPoolExecutor() as pool:
            for node in pool.map(lambda node: node.__enter__(), others):
                stack.push(node.__exit__)
        for node in others:
            node.ctl("stop_app")
            node.ctl("join_cluster", first.node)
            node.ctl("start_app")
        yield [first, *others]


def test_node_of_a_cluster_killed(
    cluster: list[PrivateRabbit], postgres: PrivatePostgres, new_place: Callable[[str, str], Place]
) -> None:
    """Clients go on with the next node of their URL, every queue with its majority, and nothing is lost."""
    first, second, _ = cluster
    urls = ";".join(node.url for node in cluster)
    with running(new_place(urls, new_database(postgres))) as system:
        writer = system.writer()
        writer.write(200)
        wait_stored(system, writer)
        with writer.writing(rate=300, most=20_000):
            first.kill()
            without = writer.count
            wait_until(lambda: min(count_stored(system, writer)) > without, "lines through two nodes")
            first.start()
            count = writer.count
            wait_until(lambda: writer.count > count + 300, "a second of lines")

        settle(system, writer, partial(count_unfinished, second))
