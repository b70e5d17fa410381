"""Secrets from files, and what is refused of them."""

import os
from pathlib import Path

import pytest

from pipeline.connections import SECRETS
from pipeline.errors import ConfigurationError
from pipeline.secret_files import write_secret
from pipeline.settings import Settings

VALUES = {
    "BROKER_URL": "amqp://u:canary@127.0.0.1//",
    "DATABASE_URL": "postgresql://u:canary@127.0.0.1/logs",
    "SLUICE_SIGNING_KEY": "canary" * 6,
    "SLUICE_PREVIOUS_SIGNING_KEY": "canary" * 7,
    "SLUICE_SEAL_KEY": "canary" * 9,
    "SLUICE_PREVIOUS_SEAL_KEY": "canary" * 10,
    "SLUICE_PRIVACY_KEY": "canary" * 8,
    "SLUICE_WEB_AUTH": "web:canary",
    "SLUICE_ALERT_WEBHOOK": "https://alerts.example/canary",
    "SLUICE_ALERT_KEY": "canary" * 11,
    "SLUICE_ALERT_MAIL": "smtps://u:canary@mail.example?from=a@b.example&to=c@d.example",
}


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File of the broker's URL, named in the environment."""
    path = tmp_path / "broker-url"
    write_secret(path, VALUES["BROKER_URL"])
    monkeypatch.setenv("BROKER_URL_FILE", str(path))
    return path


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_read_from_its_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last newline is not part of it, and no text of the settings shows it."""
    write_secret(tmp_path / "secret", VALUES[name])
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "secret"))

    settings = Settings.from_environment()

    assert getattr(settings, SECRETS[name]).get_secret_value() == VALUES[name]
    assert "canary" not in f"{settings} {settings!r} {settings.model_dump()}"


def test_a_written_secret_is_for_its_owner_alone(secret: Path) -> None:
    """Nobody else may read it, and an existing file is not overwritten."""
    assert secret.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="File exists"):
        write_secret(secret, "other")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o666])
def test_a_file_that_others_reach_is_refused(secret: Path, mode: int) -> None:
    """The error names variable, file and mode, says what to do, and does not hold the secret."""
    secret.chmod(mode)

    with pytest.raises(
        ConfigurationError, match=rf"BROKER_URL_FILE: {secret} has mode {mode:04o}.*chmod"
    ) as it:
        Settings.from_environment()

    assert "canary" not in str(it.value)


def test_a_group_may_read(secret: Path) -> None:
    """Docker and Kubernetes give a secret to a group."""
    secret.chmod(0o640)

    assert Settings.from_environment().broker_url.get_secret_value() == VALUES["BROKER_URL"]


def test_variable_and_file_together_are_refused(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to guess which of two counts."""
    monkeypatch.setenv("BROKER_URL", VALUES["BROKER_URL"])

    with pytest.raises(ConfigurationError, match="BROKER_URL is set too"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 70_000, "many")],
)
def test_a_file_that_is_no_secret_is_refused(secret: Path, content: bytes, message: str) -> None:
    """What is empty, no text or far too large is named."""
    secret.write_bytes(content)

    with pytest.raises(ConfigurationError, match=f"^BROKER_URL_FILE: .*{message}"):
        Settings.from_environment()


def test_a_path_that_is_no_file_is_refused(secret: Path, tmp_path: Path) -> None:
    """A missing file, a folder and a pipe end at once, each with its reason."""
    secret.unlink()
    with pytest.raises(ConfigurationError, match="No such file"):
        Settings.from_environment()
    os.mkfifo(secret, 0o600)
    with pytest.raises(ConfigurationError, match="regular"):
        Settings.from_environment()
    secret.unlink()
    secret.mkdir(0o700)
    with pytest.raises(ConfigurationError, match="directory"):
        Settings.from_environment()
