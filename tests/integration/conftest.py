"""Settings of each transport, and a format changed."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.formats import FORMATS
from pipeline.settings import Settings
from tests.integration.changed_format import SetFormat


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
