"""Who may reach Flower: this machine, or others with a password."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flower.views.monitor import Metrics
from tornado.web import authenticated

from pipeline.errors import ConfigurationError
from pipeline.secret_files import read_secrets
from pipeline.settings import Settings

#: Flower's variable for a pair of user and password; with `_FILE` it names a file.
PASSWORD = "FLOWER_BASIC_AUTH"  # noqa: S105 - its name


def require_events(settings: Settings) -> None:
    """Refuse the embedded mode, in which no events reach anyone.

    Raises:
        SystemExit: there is nothing for Flower to show.
    """
    if settings.embedded_broker:
        raise SystemExit(
            "error: Flower shows what RabbitMQ tells it: set BROKER_URL (embedded: see `status`)"
        )


def take_password_file(options: Any) -> None:
    """Give Flower the pairs of the file that FLOWER_BASIC_AUTH_FILE names, as FLOWER_BASIC_AUTH would.

    Raises:
        SystemExit: the file cannot be used.
    """
    try:
        found = read_secrets([PASSWORD])
    except ConfigurationError as error:
        raise SystemExit(f"error: {error}") from None
    if found:
        options.basic_auth = found[PASSWORD].split(",")


def take_broker_user(options: Any, settings: Settings) -> None:
    """Give FLOWER_BROKER_API, where RabbitMQ's management is, the user of the broker's URL if it has none."""
    parts = urlsplit(options.broker_api or "")
    own = urlsplit(settings.broker_url.get_secret_value()).netloc.rpartition("@")[0]
    if parts.hostname and own and "@" not in parts.netloc:
        options.broker_api = urlunsplit(parts._replace(netloc=f"{own}@{parts.netloc}"))


def close_metrics() -> None:
    """Ask for the password at /metrics too, which Flower leaves open; /healthcheck answers OK to everyone."""
    Metrics.get = authenticated(Metrics.get)


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
