"""What may travel in plain text: nothing that leaves this machine, unless asked for by name."""

import ssl
from pathlib import Path

import pytest

from pipeline.encryption import is_loopback, is_plain_database
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings

PLAIN = [
    ("BROKER_URL", "amqp://u:canary@broker//"),
    ("BROKER_URL", "amqp://u:canary@192.0.2.1:5672//"),
    ("BROKER_URL", "amqp://u:canary@[2001:db8::1]//"),
    ("DATABASE_URL", "postgresql://u:canary@db/logs"),
    ("DATABASE_URL", "postgresql+psycopg2://u:canary@192.0.2.1/logs?sslmode=prefer"),
    # Encrypted, but with whomever answers.
    ("DATABASE_URL", "postgresql://u:canary@db/logs?sslmode=require"),
    ("DATABASE_URL", "postgresql://u:canary@db/logs?sslmode=verify-ca"),
    ("DATABASE_URL", "postgresql:///logs?host=db"),
    ("DATABASE_URL", "postgresql://localhost/logs?hostaddr=192.0.2.1"),
    ("DATABASE_URL", "postgresql:///logs?host=127.0.0.1,db"),
]
SAFE = [
    ("BROKER_URL", "amqps://u:p@broker//"),
    ("BROKER_URL", "amqp://u:p@localhost//"),
    ("BROKER_URL", "amqp://u:p@127.0.0.2//"),
    ("BROKER_URL", "amqp://u:p@[::1]//"),
    ("BROKER_URL", "embedded://"),
    ("DATABASE_URL", "postgresql://u:p@db/logs?sslmode=verify-full"),
    ("DATABASE_URL", "postgresql:///logs?host=/run/postgresql"),
    ("DATABASE_URL", "postgresql:///logs"),
    ("DATABASE_URL", "postgresql://127.0.0.1/logs"),
    ("DATABASE_URL", "sqlite:////var/lib/sluice.db"),
]


@pytest.mark.parametrize(("variable", "url"), PLAIN)
def test_plain_text_off_this_machine_is_refused(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable, the way out and no password; asked for by name it is accepted."""
    monkeypatch.setenv(variable, url)

    with pytest.raises(ConfigurationError, match=rf"^{variable}: .*SLUICE_ALLOW_PLAINTEXT=1") as refused:
        Settings.from_environment()

    assert "canary" not in str(refused.value)
    monkeypatch.setenv("SLUICE_ALLOW_PLAINTEXT", "1")
    assert Settings.from_environment().allow_plaintext


@pytest.mark.parametrize(("variable", "url"), SAFE)
def test_what_is_encrypted_or_stays_here_is_accepted(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS that verifies its peer, loopback, socket files and the embedded mode need no permission."""
    monkeypatch.setenv(variable, url)

    Settings.from_environment()


def test_what_the_url_leaves_open_comes_from_the_environment() -> None:
    """The variables that PostgreSQL's client reads count as if they stood in the URL."""
    assert is_plain_database("postgresql:///logs", {"PGHOST": "db"})
    assert is_plain_database("postgresql://127.0.0.1/logs", {"PGHOSTADDR": "192.0.2.1"})
    assert not is_plain_database("postgresql:///logs", {"PGHOST": "db", "PGSSLMODE": "verify-full"})
    assert not is_plain_database("postgresql://127.0.0.1/logs", {"PGHOST": "db"})


@pytest.mark.parametrize(
    "host", ["127.0.0.1.example.org", "localhost.example.org", "0.0.0.0", "::", "10.0.0.1"]
)
def test_names_that_look_like_loopback_are_none(host: str) -> None:
    """Only addresses of loopback and the name localhost are this machine."""
    assert not is_loopback(host)


def test_the_broker_is_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Peer and host name are checked with or without files of our own; a missing file is named."""
    monkeypatch.setenv("BROKER_URL", "amqps://u:p@broker.example.org//")

    assert Settings.from_environment().broker_tls == {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "broker.example.org",
    }
    monkeypatch.setenv("SLUICE_TLS_CA", str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigurationError, match=r"^SLUICE_TLS_CA: .*No such file"):
        Settings.from_environment()
    (tmp_path / "ca.pem").write_text("")
    assert (Settings.from_environment().broker_tls or {})["ca_certs"] == str(tmp_path / "ca.pem")
