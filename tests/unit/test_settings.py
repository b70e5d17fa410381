"""The settings and the messages of wrong ones."""

from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.settings import Settings


def test_nothing_configured_is_the_embedded_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a variable, broker and database are folders of the working directory."""
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment()

    assert settings.embedded_broker
    assert f"sqlite:///{tmp_path}/var/sluice.db" == settings.sqlalchemy_url


def test_two_variables_make_it_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker and the database follow their variables."""
    monkeypatch.setenv("BROKER_URL", "amqps://u:p@broker//")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db/logs?sslmode=verify-full")
    settings = Settings.from_environment()

    assert not settings.embedded_broker
    assert not settings.embedded_database


def test_misspelt_setting_names_the_near_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo is not passed over in silence."""
    monkeypatch.setenv("SLUICE_BATCHCOUNT", "5")

    with pytest.raises(ConfigurationError, match="did you mean SLUICE_BATCH_COUNT"):
        Settings.from_environment()


@pytest.mark.parametrize("variable", ["BROKER_URL", "DATABASE_URL"])
def test_empty_url_means_embedded(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, as compose files set it, is no variable."""
    monkeypatch.setenv(variable, "")
    settings = Settings.from_environment()

    assert settings.embedded_broker
    assert settings.embedded_database


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BROKER_URL", "redis://localhost"),
        ("BROKER_URL", "amqp://u:p@localhost:99999//"),
        ("BROKER_URL", "amqp://u:p@localhost:port//"),
        ("DATABASE_URL", "mysql://localhost"),
        ("DATABASE_URL", "postgres://localhost/x"),
        ("DATABASE_URL", "postgresql://localhost:port/x"),
        ("SLUICE_BATCHCOUNT", "5"),
        ("SLUICE_BATCH_COUNT", "0"),
        ("SLUICE_BATCH_COUNT", "many"),
        ("SLUICE_SWEEP_SECONDS", "-1"),
        ("SLUICE_LOG_LEVEL", "LOUD"),
    ],
)
def test_wrong_value_names_its_variable(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error starts with the variable to change."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        Settings.from_environment()


def test_secret_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings' text nor an error shows a password."""
    monkeypatch.setenv("BROKER_URL", "amqps://user:canary@broker//")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:canary@db/logs?sslmode=verify-full")
    settings = Settings.from_environment()
    monkeypatch.setenv("BROKER_URL", "redis://user:canary@broker//")
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment()

    assert "canary" not in f"{settings} {settings!r} {refused.value}"
