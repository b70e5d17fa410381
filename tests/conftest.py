"""The fixtures: broker, databases and settings, each test with its own, none with the developer's."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import kombu
import pytest
from amqp.exceptions import NotFound

from pipeline import scanner, topology
from pipeline.settings import Settings
from tests.databases import (
    SERVER_OPTIONS,
    create_database,
    delete_left_folders,
    execute,
    named,
    new_database,
    new_folder,
    new_sqlite,
)
from tests.services import (
    PrivatePostgres,
    PrivateRabbit,
    ServiceMissing,
    broker_answers,
    database_answers,
    wait_until,
)

#: Servers named for the tests; without them private ones are started.
TEST_BROKER_URL = os.environ.pop("TEST_BROKER_URL", "")
TEST_DATABASE_URL = os.environ.pop("TEST_DATABASE_URL", "")
#: With 1 (continuous integration) a missing service fails its tests instead of skipping them.
REQUIRE_SERVICES = os.environ.pop("REQUIRE_SERVICES", "") == "1"
#: Servers of the machine, used only where no private one can be started.
LOCAL_BROKER_URL = "amqp://guest:guest@127.0.0.1:5672//"
LOCAL_DATABASE_URL = "postgresql://postgres@127.0.0.1:5432/postgres"
#: Prefixes of the variables that change what Sluice, Celery, Flower or PostgreSQL's client do.
FOREIGN_PREFIXES = ("SLUICE_", "CELERY_", "FLOWER_", "PG", "BROKER_", "DATABASE_")

for _name in [name for name in os.environ if name.startswith(FOREIGN_PREFIXES)]:
    del os.environ[_name]

# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

_origins: dict[str, str] = {}


def pytest_sessionstart() -> None:
    """Give back the memory that a killed run has left occupied."""
    delete_left_folders()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a process of pytest-xdist ran on."""
    _origins.update(getattr(node, "workeroutput", {}).get("origins", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave for the process that reports what this one ran on, if it is one of several."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["origins"] = _origins


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which services the tests ran on, and why one was missing."""
    for service, origin in _origins.items():
        terminalreporter.write_line(f"{service}: {origin}")


def _missing(service: str, reason: str) -> NoReturn:
    _origins[service] = f"none: {reason}"
    message = f"no {service}: {reason}"
    if REQUIRE_SERVICES:
        pytest.fail(f"{message} (REQUIRE_SERVICES=1)")
    pytest.skip(message)


@pytest.fixture(scope="session")
def required() -> Callable[[str], NoReturn]:
    """Return a function that skips a test for want of a program, or fails it with REQUIRE_SERVICES=1."""
    return lambda name: _missing(name, "it is not installed")


@pytest.fixture(scope="session")
def compiled(required: Callable[[str], NoReturn]) -> None:
    """Skip a test of the compiled loops where they were not built."""
    if scanner.library() is None:
        required("C compiler")


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, Any, Any]:
    """Turn a server that cannot be started for a fixture of any test into a skip with its reason."""
    try:
        return (yield)
    except ServiceMissing as reason:
        return _missing("private server", str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, Any, Any]:
    """Turn a server that cannot be started in the middle of any test into a skip with its reason."""
    try:
        return (yield)
    except ServiceMissing as reason:
        return _missing("private server", str(reason))


def _foreign_names(url: str) -> list[str]:
    """Return those of our names of queues and of the exchange that stand on a broker already."""
    found = []
    with kombu.Connection(url) as connection:
        for queue in (*topology.LIVE_QUEUES, *topology.DEAD_QUEUES):
            try:
                with connection.channel() as channel:
                    channel.queue_declare(queue.name, passive=True)
            except NotFound:
                continue
            found.append(queue.name)
        try:
            with connection.channel() as channel:
                channel.exchange_declare(topology.LOGS.name, topology.LOGS.type, passive=True)
        except NotFound:
            return found
    return [*found, topology.LOGS.name]


def delete_topology(url: str) -> None:
    """Delete the exchange and every queue of Sluice on a broker that belongs to the tests."""
    with kombu.Connection(url) as connection, connection.channel() as channel:
        for queue in (*topology.LIVE_QUEUES, *topology.DEAD_QUEUES):
            channel.queue_delete(queue.name)
        channel.exchange_delete(topology.LOGS.name)


def _local_broker() -> tuple[str, str]:
    if not broker_answers(LOCAL_BROKER_URL):
        raise ServiceMissing("nothing answers on 127.0.0.1:5672")
    if found := _foreign_names(LOCAL_BROKER_URL):
        raise ServiceMissing(f"the broker on 127.0.0.1:5672 holds {found[0]}, which the tests would delete")
    return LOCAL_BROKER_URL, "the server on 127.0.0.1:5672"


def _find_broker(stack: ExitStack) -> tuple[str, str]:
    if TEST_BROKER_URL:
        wait_until(lambda: broker_answers(TEST_BROKER_URL), "the broker of TEST_BROKER_URL")
        return TEST_BROKER_URL, "TEST_BROKER_URL"
    try:
        return stack.enter_context(PrivateRabbit(new_folder(stack))).url, "a private node"
    except ServiceMissing as reason:
        try:
            return _local_broker()
        except ServiceMissing as other:
            raise ServiceMissing(f"{reason}; {other}") from None


def _find_database_server(stack: ExitStack) -> tuple[str, str]:
    if TEST_DATABASE_URL:
        wait_until(lambda: database_answers(TEST_DATABASE_URL), "the server of TEST_DATABASE_URL")
        return TEST_DATABASE_URL, "TEST_DATABASE_URL"
    try:
        server = PrivatePostgres(new_folder(stack), **SERVER_OPTIONS)
        return stack.enter_context(server).url, "a private server"
    except ServiceMissing as reason:
        if database_answers(LOCAL_DATABASE_URL):
            return LOCAL_DATABASE_URL, "the server on 127.0.0.1:5432, databases of our own"
        raise ServiceMissing(f"{reason}; nothing answers on 127.0.0.1:5432") from None


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """URL of a RabbitMQ whose queues the tests may delete."""
    with ExitStack() as stack:
        try:
            url, _origins["RabbitMQ"] = _find_broker(stack)
        except ServiceMissing as reason:
            _missing("RabbitMQ", str(reason))
        yield url
        delete_topology(url)


@pytest.fixture
def broker(broker_url: str) -> str:
    """URL of a RabbitMQ on which nothing of Sluice is declared yet."""
    delete_topology(broker_url)
    return broker_url


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL server on which the tests may create databases."""
    with ExitStack() as stack:
        try:
            url, _origins["PostgreSQL"] = _find_database_server(stack)
        except ServiceMissing as reason:
            _missing("PostgreSQL", str(reason))
        yield url


@pytest.fixture
def empty_postgresql_url(postgresql_server: str) -> Iterator[str]:
    """URL of a new PostgreSQL database without a table, dropped after the test."""
    yield from new_database(postgresql_server, "template0")


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[str]:
    """Name of a migrated PostgreSQL database to clone."""
    from db import schema  # noqa: PLC0415 - tests without a database need not import it

    name = f"sluice_test_{os.getpid()}_template"
    execute(postgresql_server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    create_database(postgresql_server, name, "template0")
    schema.upgrade(named(postgresql_server, name))
    yield name
    execute(postgresql_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgresql_url(postgresql_server: str, postgresql_template: str) -> Iterator[str]:
    """URL of a new, migrated PostgreSQL database, dropped after the test."""
    yield from new_database(postgresql_server, postgresql_template)


@pytest.fixture(scope="module")
def module_postgresql_url(postgresql_server: str, postgresql_template: str) -> Iterator[str]:
    """URL of a new, migrated PostgreSQL database that the tests of a module share."""
    yield from new_database(postgresql_server, postgresql_template)


@pytest.fixture(scope="module")
def module_broker(broker_url: str) -> str:
    """URL of a RabbitMQ on which the first test of a module finds nothing of Sluice; the others share it."""
    delete_topology(broker_url)
    return broker_url


@pytest.fixture
def sqlite_url() -> Iterator[str]:
    """URL of a new, migrated SQLite database."""
    yield from new_sqlite()


@pytest.fixture(scope="module")
def module_sqlite_url() -> Iterator[str]:
    """URL of a new, migrated SQLite database that the tests of a module share."""
    yield from new_sqlite()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a new, migrated database, once of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def engine(database_url: str) -> Iterator[Any]:
    """Engine on a new, migrated database."""
    from db.engine import make_engine  # noqa: PLC0415

    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of the embedded mode with a state folder of its own."""
    return Settings.from_environment(state_dir=tmp_path / "var")
