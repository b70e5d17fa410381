"""Flower is closed to others unless it asks for a password."""

from types import SimpleNamespace

import pytest

from tasks.dashboard import guarded_address


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


@pytest.mark.parametrize("protection", [{"basic_auth": ["me:secret"]}, {"auth": "me@example.org"}])
def test_open_address_with_password_is_accepted(protection: dict[str, object]) -> None:
    """Authentication opens the address."""
    assert guarded_address(options(address="0.0.0.0", **protection)) == "0.0.0.0"


def test_socket_file_needs_no_password() -> None:
    """A socket file is guarded by its folder's permissions."""
    assert guarded_address(options(unix_socket="/run/flower.sock")) == "127.0.0.1"
