"""Who may reach Flower: this machine, or others with a password."""

from ipaddress import ip_address
from typing import Any

from pipeline.settings import Settings


def require_events(settings: Settings) -> None:
    """Refuse the embedded mode, in which no events reach anyone.

    Raises:
        SystemExit: there is nothing for Flower to show.
    """
    if settings.embedded_broker:
        raise SystemExit(
            "error: Flower shows what RabbitMQ tells it: set BROKER_URL (embedded: see `status`)"
        )


def guarded_address(options: Any) -> str:
    """Return the address that Flower listens on: loopback where none is given.

    Raises:
        SystemExit: the address is open to others and no authentication is set.
    """
    address = str(options.address or "127.0.0.1")
    if options.unix_socket or _is_loopback(address) or _asks_for_password(options):
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


def _asks_for_password(options: Any) -> bool:
    # Flower takes a pair without a colon, which then no one can give.
    pairs = options.basic_auth or []
    return bool(options.auth) or (bool(pairs) and all(":" in pair for pair in pairs))
