"""Where alerts go, from the addresses in the settings: checked, and never told in an error."""

from dataclasses import dataclass
from email.utils import parseaddr
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pipeline.encryption import PERMISSION, is_loopback

#: Ports of mail: submission with STARTTLS, and with TLS from the first byte (RFC 8314).
SUBMISSION_PORT, TLS_PORT = 587, 465
#: Most people who get a mail.
MOST_RECIPIENTS = 20


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that takes a POST; `key` signs what is sent, empty signs nothing."""

    host: str
    port: int | None
    target: str
    is_tls: bool
    key: bytes


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A server that takes mail, who sends, and who gets it."""

    host: str
    port: int
    is_tls: bool
    user: str
    password: str
    sender: str
    recipients: tuple[str, ...]

    @property
    def is_local(self) -> bool:
        """True where the server is this machine."""
        return is_loopback(self.host)


def webhook(url: str, key: str, *, allow_plaintext: bool) -> Webhook:
    """Return the destination of a URL.

    Raises:
        ValueError: says what to change, without the URL, which may hold a secret.
    """
    parts, port = _split(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("use a URL such as https://host/path")
    if parts.username or parts.password:
        raise ValueError("a password in the URL is not sent: put the secret into path or query")
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not allow_plaintext:
        raise ValueError(f"http:// leaves this machine in plain text: use https://, or {PERMISSION}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("path and query hold characters that must be percent-encoded")
    return Webhook(parts.hostname, port, target, parts.scheme == "https", key.encode())


def mailbox(url: str) -> Mailbox:
    """Return the destination of `smtp[s]://[user:password@]host[:port]?from=ADDRESS&to=ADDRESS[,ADDRESS…]`.

    Raises:
        ValueError: says what to change, without the URL, which holds a password.
    """
    parts, port = _split(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/"):
        raise ValueError("use smtp[s]://user:password@host:port?from=ADDRESS&to=ADDRESS,ADDRESS")
    given = parse_qs(parts.query)
    if set(given) != {"from", "to"}:
        raise ValueError("give ?from=ADDRESS&to=ADDRESS,ADDRESS, and nothing else")
    sender, *more = (address.strip() for address in given["from"])
    recipients = tuple(address.strip() for each in given["to"] for address in each.split(","))
    if more or not all(map(_is_address, (sender, *recipients))) or len(recipients) > MOST_RECIPIENTS:
        raise ValueError(
            f"give one address in `from` and up to {MOST_RECIPIENTS} in `to`, as ops@example.org"
        )
    user, password = (unquote(each or "") for each in (parts.username, parts.password))
    if bool(user) != bool(password):
        raise ValueError("give user and password, or neither")
    is_tls = parts.scheme == "smtps"
    default = TLS_PORT if is_tls else SUBMISSION_PORT
    return Mailbox(parts.hostname, port or default, is_tls, user, password, sender, recipients)


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Python's own words hold a part of the URL.
        raise ValueError("not a URL, or its port is not one") from None
    return parts, port


def _is_address(text: str) -> bool:
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    return not name and address == text and bool(local and domain) and text.isascii() and text.isprintable()
