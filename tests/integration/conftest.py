"""Settings of each transport, for tests of what travels through the broker."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.settings import Settings


@pytest.fixture(params=["embedded", "rabbitmq"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of each transport in turn, with nothing declared."""
    url = request.getfixturevalue("broker") if request.param == "rabbitmq" else "embedded://"
    return Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(url))


@pytest.fixture
def rabbitmq(broker: str, tmp_path: Path) -> Settings:
    """Settings of RabbitMQ with nothing declared."""
    return Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(broker))
