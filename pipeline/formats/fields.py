"""From the bytes of a field to typed values: what the formats of web servers share."""

import re
import socket
from datetime import UTC, datetime, timedelta, timezone

from pipeline.errors import RejectedLine

#: What servers write for an absent value; it reads as NULL.
ABSENT = b"-"
#: Largest value of a bigint column.
MAX_BIGINT = (1 << 63) - 1
MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
        start=1,
    )
}
#: Day, month, year, hour, minute, second, sign, hours and minutes of the offset from UTC.
TIME = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)([0-5]\d)")


def decode(field: bytes) -> str:
    r"""Return bytes as text that any database holds.

    What is not UTF-8 reads as `\xHH`, and so does NUL. Escapes that the server wrote stay as they are.
    """
    text = field.decode("utf-8", "backslashreplace")
    return text.replace("\0", r"\x00") if "\0" in text else text


def text(field: bytes) -> tuple[str | None]:
    """Return the text of a field, None for `-`."""
    return (None if field == ABSENT else decode(field),)


def client(field: bytes) -> tuple[str | None, str | None]:
    """Return (address, None), or (None, name) where the field is no IPv4 or IPv6 address without a zone.

    An IPv6 address comes back in its canonical form (RFC 5952).
    """
    name = decode(field)
    try:
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        return socket.inet_ntop(family, socket.inet_pton(family, name)), None
    except (OSError, ValueError):
        return None, None if field == ABSENT else name


def identity(field: bytes) -> tuple[str | None, str | None]:
    """Return session and user of `session user`; the user may hold spaces."""
    session, _, user = field.partition(b" ")
    return text(session) + text(user)


def common_time(field: bytes) -> tuple[datetime, int]:
    """Return the UTC time and the offset in minutes of `17/May/2015:10:05:03 +0000`.

    A leap second, 60, reads as 59.

    Raises:
        RejectedLine: another form, or no such day, time or offset.
    """
    match = TIME.fullmatch(field)
    if match is None or match[2] not in MONTHS:
        raise RejectedLine(f"time {quote(field)} is not of the form 17/May/2015:10:05:03 +0000")
    day, year, hour, minute, second, offset_hours, offset_minutes = map(int, match.group(1, 3, 4, 5, 6, 8, 9))
    offset = (offset_hours * 60 + offset_minutes) * (-1 if match[7] == b"-" else 1)
    try:
        zone = timezone(timedelta(minutes=offset))
        second = 59 if second == 60 else second  # noqa: PLR2004 - the leap second
        local = datetime(year, MONTHS[match[2]], day, hour, minute, second, tzinfo=zone)
        return local.astimezone(UTC), offset
    except (ValueError, OverflowError) as error:
        raise RejectedLine(f"time {quote(field)} does not exist: {error}") from None


def result(field: bytes) -> tuple[int | None, int | None]:
    """Return status and size in bytes of `status size`.

    Raises:
        RejectedLine: the size is more than a bigint holds.
    """
    status, _, size = field.partition(b" ")
    if len(size) > 18 and int(size[:20]) > MAX_BIGINT:  # noqa: PLR2004 - 18 digits always fit
        raise RejectedLine(f"size {quote(size)} is over {MAX_BIGINT}")
    return None if status == ABSENT else int(status), None if size == ABSENT else int(size)


def quote(field: bytes) -> str:
    """Return the first 40 bytes of a field as a printable literal, for a reason."""
    return ascii(decode(field[:40])) + ("…" if len(field) > 40 else "")  # noqa: PLR2004
