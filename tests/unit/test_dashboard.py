"""Flower is closed to others unless it asks for a password."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from pipeline.secret_files import write_secret
from pipeline.settings import Settings
from tasks.dashboard import guarded_address, require_events, take_broker_user, take_password_file


def options(**given: object) -> SimpleNamespace:
    """Return Flower's options with these given."""
    return SimpleNamespace(**{"address": "", "unix_socket": "", "basic_auth": None, "auth": "", **given})


def test_address_is_loopback_where_none_is_given() -> None:
    """Flower's own default is every address."""
    assert guarded_address(options()) == "127.0.0.1"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_no_password(address: str) -> None:
    """Whoever reaches loopback is on this machine."""
    assert guarded_address(options(address=address)) == address


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "logs.example.org"])
def test_open_address_without_password_is_refused(address: str) -> None:
    """The refusal names the variable to set."""
    with pytest.raises(SystemExit, match="FLOWER_BASIC_AUTH"):
        guarded_address(options(address=address))


def test_pair_without_a_colon_is_no_password() -> None:
    """Flower would take it and let no one in, or everyone."""
    with pytest.raises(SystemExit, match="user:password"):
        guarded_address(options(address="0.0.0.0", basic_auth=["me"]))


def test_embedded_mode_has_nothing_to_show(settings: Settings) -> None:
    """Without a broker that carries events Flower says what it needs."""
    with pytest.raises(SystemExit, match="BROKER_URL"):
        require_events(settings)


@pytest.mark.parametrize("protection", [{"basic_auth": ["me:secret"]}, {"auth": "me@example.org"}])
def test_open_address_with_password_is_accepted(protection: dict[str, object]) -> None:
    """Authentication opens the address."""
    assert guarded_address(options(address="0.0.0.0", **protection)) == "0.0.0.0"


def test_socket_file_needs_no_password() -> None:
    """A socket file is guarded by its folder's permissions."""
    assert guarded_address(options(unix_socket="/run/flower.sock")) == "127.0.0.1"


def test_the_password_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens the address as the variable does; a file that others may read ends Flower."""
    write_secret(tmp_path / "flower", "me:secret,you:secret")
    monkeypatch.setenv("FLOWER_BASIC_AUTH_FILE", str(tmp_path / "flower"))
    given = options(address="0.0.0.0")

    take_password_file(given)

    assert given.basic_auth == ["me:secret", "you:secret"]
    assert guarded_address(given) == "0.0.0.0"
    (tmp_path / "flower").chmod(0o644)
    with pytest.raises(SystemExit, match=r"FLOWER_BASIC_AUTH_FILE.*0644"):
        take_password_file(given)


def test_without_a_file_nothing_changes() -> None:
    """What Flower read by itself stays."""
    given = options(basic_auth=["me:secret"])

    take_password_file(given)

    assert given.basic_auth == ["me:secret"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://broker:15672/api/", "http://me:secret@broker:15672/api/"),
        ("http://other:pass@broker:15672/api/", "http://other:pass@broker:15672/api/"),
        ("", ""),
    ],
)
def test_the_management_is_asked_as_the_brokers_user(given: str, taken: str) -> None:
    """An address without a user gets that of the URL, which may come from a file."""
    found = options(broker_api=given)

    url = SecretStr("amqp://me:secret@127.0.0.1/sluice")
    take_broker_user(found, Settings.from_environment(broker_url=url))

    assert found.broker_api == taken
