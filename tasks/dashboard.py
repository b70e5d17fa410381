"""Who may reach Flower: this machine, or others with a password."""

from ipaddress import ip_address
from typing import Any


def guarded_address(options: Any) -> str:
    """Return the address that Flower listens on: loopback where none is given.

    Raises:
        SystemExit: the address is open to others and no authentication is set.
    """
    address = str(options.address or "127.0.0.1")
    if options.unix_socket or _is_loopback(address) or options.basic_auth or options.auth:
        return address
    raise SystemExit(
        f"error: Flower would be open to everyone at {address}: set FLOWER_BASIC_AUTH=user:password "
        "(or --auth with a provider), or leave --address at 127.0.0.1"
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
