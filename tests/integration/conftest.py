"""Settings of each transport, a format changed, databases to begin with, and a watcher stepped by hand."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from db import counting, minutes
from db.engine import make_engine
from pipeline.formats import FORMATS
from pipeline.settings import Settings
from tests.integration.changed_format import SetFormat
from tests.integration.provisioned import forget_roles, provision
from tests.integration.removing import fill
from tests.integration.shipper import Shipper


@pytest.fixture(params=["embedded", "rabbitmq"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of each transport in turn, with nothing declared."""
    url = request.getfixturevalue("broker") if request.param == "rabbitmq" else "embedded://"
    return Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(url))


@pytest.fixture
def rabbitmq(broker: str, tmp_path: Path) -> Settings:
    """Settings of RabbitMQ with nothing declared."""
    return Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(broker))


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> SetFormat:
    """A function that puts a format in the place of the built-in one."""
    return lambda format_: monkeypatch.setitem(FORMATS, format_.name, format_)


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Engine]:
    """Engine on a new, migrated PostgreSQL database."""
    engine = make_engine(postgresql_url)
    yield engine
    engine.dispose()


@pytest.fixture
def provisioned(postgresql_url: str) -> Iterator[str]:
    """URL of a migrated database, for its owner, with the roles made twice and some lines stored."""
    provision(postgresql_url)
    yield postgresql_url
    forget_roles(postgresql_url)


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with a source of three segments in each stage."""
    fill(engine)
    return engine


@pytest.fixture
def shipper(tmp_path: Path) -> Iterator[Shipper]:
    """A watcher over every file of a folder."""
    made = Shipper(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tally of every segment, and minutes of long ago."""
    monkeypatch.setattr(counting, "KEPT_LINES", 1)
    monkeypatch.setattr(minutes, "KEPT", timedelta(days=366_000))
