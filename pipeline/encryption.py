"""TLS on the way to the servers, and what travels in plain text off this machine: nothing unasked."""

import os
import ssl
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.errors import ConfigurationError

#: Name of the setting that permits plain connections off loopback.
PERMISSION = "SLUICE_ALLOW_PLAINTEXT=1"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine; an empty one and the folder of a socket file are."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost") or host.startswith("/")


def is_plain_broker(url: str) -> bool:
    """Tell whether a broker URL leaves this machine without TLS."""
    parts = urlsplit(url)
    return parts.scheme == "amqp" and not is_loopback(parts.hostname or "")


def is_plain_database(url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a PostgreSQL URL leaves this machine without TLS that verifies who answers.

    What the URL leaves open libpq takes from PGHOST, PGHOSTADDR and PGSSLMODE.
    """
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] != "postgresql":
        return False
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    named = parts.hostname or query.get("host")
    hosts = [
        named or environment.get("PGHOST", ""),
        query.get("hostaddr") or environment.get("PGHOSTADDR", ""),
    ]
    mode = query.get("sslmode") or environment.get("PGSSLMODE", "prefer")
    return mode != "verify-full" and not all(_all_loopback(host) for host in hosts)


def _all_loopback(hosts: str) -> bool:
    return all(is_loopback(host) for host in hosts.split(","))


def broker_tls(
    url: str, ca: Path | None, certificate: Path | None, key: Path | None
) -> dict[str, Any] | None:
    """Return kombu's TLS options for an amqps:// URL, None for another.

    The server must show a certificate for the host of the URL, signed by `ca`, or by an authority that this
    machine trusts where that is None. `certificate` and `key` are shown to a server that asks.
    """
    parts = urlsplit(url)
    if parts.scheme != "amqps":
        return None
    options: dict[str, Any] = {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": parts.hostname or "localhost",
    }
    given = {"ca_certs": ca, "certfile": certificate, "keyfile": key}
    return options | {name: str(path) for name, path in given.items() if path}


def require_files(files: Iterable[tuple[str, Path | None]]) -> None:
    """Return if each file can be read.

    Raises:
        ConfigurationError: names the variable.
    """
    for variable, path in files:
        if path is None:
            continue
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigurationError(f"{variable}: {path}: {error.strerror}") from error
