"""One private RabbitMQ, one private PostgreSQL and one running system for the whole suite."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from pipeline.topology import LIVE_QUEUES
from tests.faults.databases import new_database, new_virtual_host, virtual_host
from tests.faults.invariant import Unfinished
from tests.faults.system import Place, System, running
from tests.faults.writer import Writer
from tests.services import PrivatePostgres, PrivateRabbit


@pytest.fixture(scope="session")
def rabbit() -> Iterator[PrivateRabbit]:
    """Return a RabbitMQ node that the suite may kill."""
    with PrivateRabbit() as node:
        yield node


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """Return a PostgreSQL server that the suite may kill."""
    with PrivatePostgres() as server:
        yield server


@pytest.fixture(scope="session")
def new_place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Place]:
    """Return a function that makes a place with a folder of its own."""

    def make(broker_url: str, database_url: str) -> Place:
        return Place(tmp_path_factory.mktemp("system"), broker_url, database_url)

    return make


class Standing:
    """A system that goes on from test to test, and is replaced after a test that left it unwell."""

    def __init__(self, make: Callable[[], Place]) -> None:
        self._make = make
        self._stack = contextlib.ExitStack()
        self._system: System | None = None

    def ready(self) -> System:
        """Return the system, marked unwell until a check of the invariant says otherwise."""
        if self._system is None or not self._system.healthy:
            self.close()
            self._system = self._stack.enter_context(running(self._make()))
        self._system.healthy = False
        return self._system

    def close(self) -> None:
        """End the system."""
        self._stack.close()
        self._system = None


@pytest.fixture(scope="session")
def standing(
    rabbit: PrivateRabbit, postgres: PrivatePostgres, new_place: Callable[[str, str], Place]
) -> Iterator[Standing]:
    """Return the holder of the system that the tests share."""
    holder = Standing(lambda: new_place(new_virtual_host(rabbit), new_database(postgres)))
    yield holder
    holder.close()


@pytest.fixture
def system(standing: Standing) -> System:
    """Return a running system on RabbitMQ and PostgreSQL."""
    return standing.ready()


@pytest.fixture
def writer(system: System) -> Writer:
    """Return a writer on a new log of the system."""
    return system.writer()


def count_unfinished(node: PrivateRabbit, system: System) -> int:
    """Return the messages of a system's live queues, those at a worker included, as a node sees them."""
    live = {queue.name for queue in LIVE_QUEUES}
    listing = node.ctl("list_queues", "-p", virtual_host(system.place.broker_url), "name", "messages")
    rows = [row.split() for row in listing.splitlines()]
    return sum(int(messages) for name, messages in rows if name in live)


@pytest.fixture
def unfinished(rabbit: PrivateRabbit) -> Unfinished:
    """Return a function that counts the messages of a system's live queues, those at a worker included."""
    return partial(count_unfinished, rabbit)
