"""`provision`: secrets in files of one's own, hashes in what the servers get."""

import json
from pathlib import Path

import pytest

from pipeline.cli.main import OK, USAGE, main
from pipeline.permissions import Role
from pipeline.settings import Settings

RABBIT = ["provision", "rabbitmq", "--url", "amqps://broker:5671/sluice"]
POSTGRES = ["provision", "postgresql", "--url", "postgresql://db/logs?sslmode=verify-full"]


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def secrets() -> dict[str, str]:
    """Return the secret files by name."""
    return {path.name: path.read_text() for path in Path("secrets").iterdir()}


def test_rabbitmq_gets_hashes_and_each_role_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are private, work as BROKER_URL_FILE; definitions and screen show no password."""
    assert main(RABBIT) == OK

    written = secrets()
    assert {f"broker-url-{role.value}" for role in Role} == written.keys()
    assert {path.stat().st_mode & 0o777 for path in Path("secrets").iterdir()} == {0o600}
    assert Path("secrets").stat().st_mode & 0o777 == 0o700
    passwords = [url.split(":")[2].split("@")[0] for url in written.values()]
    shown = Path("definitions.json").read_text() + "".join(capsys.readouterr())
    assert len(set(passwords)) == len(Role)
    assert not [word for word in passwords if word in shown]
    monkeypatch.setenv("BROKER_URL_FILE", "secrets/broker-url-watcher")
    url = Settings.from_environment().broker_url.get_secret_value()
    assert (url.startswith("amqps://sluice-watcher:"), url.endswith("@broker:5671/sluice")) == (True, True)


@pytest.mark.parametrize("command", [RABBIT, POSTGRES])
def test_a_second_call_keeps_the_passwords(command: list[str]) -> None:
    """What is in use stays valid; a removed file gets a new password, the others keep theirs."""
    assert main(command) == OK
    before = secrets()
    changed = min(before)
    Path("secrets", changed).unlink()

    assert main(command) == OK

    assert {name for name, url in secrets().items() if url != before[name]} == {changed}


def test_postgresql_gets_verifiers(capsys: pytest.CaptureFixture[str]) -> None:
    """The statements on standard output hold no password; each URL keeps what it asks of TLS."""
    assert main([*POSTGRES, "--json"]) == OK

    printed = capsys.readouterr().out
    assert json.loads(printed.splitlines()[-1])["users"][0] == "sluice_lake"
    assert "SCRAM-SHA-256$" in printed
    for url in secrets().values():
        assert url.endswith("@db/logs?sslmode=verify-full\n")
        assert url.split(":")[2].split("@")[0] not in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["provision", "rabbitmq", "--url", "redis://broker/sluice"],
        ["provision", "rabbitmq", "--url", "amqps://broker"],
        ["provision", "postgresql"],
        [*POSTGRES, "--prefix", "a; DROP TABLE x"],
        [*POSTGRES, "--prefix", 'a"b'],
    ],
)
def test_what_does_not_fit_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong address, no virtual host, no database, a prefix that is no name: nothing is written."""
    assert main(arguments) == USAGE
    assert "error: " in capsys.readouterr().err
    assert not Path("secrets").exists()


def test_a_foreign_file_is_not_taken_for_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """A file without a password stops the command, which says to remove it."""
    Path("secrets").mkdir(0o700)
    Path("secrets/broker-url-watcher").write_text("nothing")
    Path("secrets/broker-url-watcher").chmod(0o600)

    assert main(RABBIT) == USAGE
    assert "remove it" in capsys.readouterr().err
