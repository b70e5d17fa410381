"""Systems without a pool yet, on each broker and database, and browsers."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from bench.browser import chromium
from pipeline.settings import Settings
from tests.acceptance.browsing import Browser, Open
from tests.acceptance.pools import System


@pytest.fixture(params=["embedded", "servers"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    """Nothing configured, or RabbitMQ and PostgreSQL; no pool runs yet."""
    servers = request.param == "servers"
    settings = Settings.from_environment(
        state_dir=tmp_path / "var",
        broker_url=SecretStr(request.getfixturevalue("broker") if servers else "embedded://"),
        database_url=SecretStr(request.getfixturevalue("postgresql_url" if servers else "sqlite_url")),
    )
    with System(settings, tmp_path) as system:
        yield system


@pytest.fixture
def on_servers(broker: str, postgresql_url: str, tmp_path: Path) -> Iterator[System]:
    """RabbitMQ and PostgreSQL; no pool runs yet."""
    settings = Settings.from_environment(
        state_dir=tmp_path / "var",
        broker_url=SecretStr(broker),
        database_url=SecretStr(postgresql_url),
    )
    with System(settings, tmp_path) as system:
        yield system


@pytest.fixture
def browse() -> Iterator[Open]:
    """Starts browsers, and ends them."""
    with ExitStack() as stack:
        yield lambda **options: Browser(stack.enter_context(chromium(**options)))
