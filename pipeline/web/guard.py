"""Who may see the page, and what a browser may do with it."""

import base64
import binascii
import hmac
from ipaddress import ip_address

from pipeline.errors import ConfigurationError

#: Nothing from elsewhere, no script or style in the text, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Server": "sluice",
}
VARIABLE = "SLUICE_WEB_AUTH"


def require_password(host: str, pair: str) -> None:
    """Return if the page may listen at a host: with a password, or on loopback.

    Raises:
        ConfigurationError: others could see the page without a password, or the pair is none.
    """
    if pair and not all(pair.partition(":")[::2]):
        raise ConfigurationError(f"{VARIABLE}: write user:password")
    if not pair and not is_loopback(host):
        raise ConfigurationError(
            f"--host {host}: the page would be open to everyone: set {VARIABLE}=user:password "
            f"(or {VARIABLE}_FILE), or leave it at 127.0.0.1"
        )


def require_link(url: str) -> None:
    """Return if an address may stand in a link.

    Raises:
        ConfigurationError: it is none of http or https.
    """
    if url and not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"--flower {url}: write http://… or https://…")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_known(pair: str, authorization: str) -> bool:
    """Tell whether a request's header carries the user and password of the pair."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, pair.encode())


def is_own_name(host: str) -> bool:
    """Tell whether a request's Host header names this machine.

    Without a password a page of elsewhere could have its own name resolve to 127.0.0.1 and read what is here.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and ":" in host else host
    return is_loopback(name)
