"""From the bytes of a field to typed values: what the formats of web servers share."""

import re
import socket
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pipeline.errors import RejectedLine

#: What servers write for an absent value; it reads as NULL.
ABSENT = b"-"
#: Largest value of a bigint column.
MAX_BIGINT = (1 << 63) - 1
#: A number of so many digits always fits a bigint; one of more than MAX_DIGITS is not worth a conversion,
#: whose time is quadratic.
SAFE_DIGITS, MAX_DIGITS = 18, 40
MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
        start=1,
    )
}
#: Day, month, year, hour, minute; sign, hours and minutes of the offset from UTC.
MINUTE = re.compile(rb"(\d\d)/([A-Z][a-z][a-z])/(\d{4}):(\d\d):(\d\d): ([+-])([01]\d|2[0-3])([0-5]\d)")
#: Durations by their two digits. A leap second, 60, reads as 59: neither datetime nor PostgreSQL keeps one.
SECONDS = {b"%02d" % second: timedelta(seconds=min(second, 59)) for second in range(61)}
#: Texts with escaped bytes that are kept: each format that tries a line would escape it anew, byte by byte.
KEPT_ESCAPED = 4
#: Minutes that are kept: a day and a half.
KEPT_MINUTES = 2048


def decode(field: bytes) -> str:
    r"""Return bytes as text that any database holds.

    What is not UTF-8 reads as `\xHH`, and so does NUL. Escapes that the server wrote stay as they are.
    """
    try:
        text = field.decode()
    except UnicodeDecodeError:
        text = _escaped(field)
    return text.replace("\0", r"\x00") if "\0" in text else text


@lru_cache(maxsize=KEPT_ESCAPED)
def _escaped(field: bytes) -> str:
    return field.decode(errors="backslashreplace")


def storable(value: Any) -> Any:
    r"""Return a value of JSON with its texts as any database holds them: without NUL and half surrogates."""
    if isinstance(value, str):
        return decode(value.encode(errors="backslashreplace"))
    if isinstance(value, dict):
        return {storable(name): storable(part) for name, part in value.items()}
    return [storable(part) for part in value] if isinstance(value, list) else value


def text(field: bytes) -> tuple[str | None]:
    """Return the text of a field, None for `-`."""
    return (None if field == ABSENT else decode(field),)


def address(field: bytes) -> tuple[str | None, str | None]:
    """Return (address, None), or (None, name) where the field is no IPv4 or IPv6 address without a zone.

    An IPv6 address comes back in its canonical form (RFC 5952).
    """
    name = decode(field)
    try:
        family = socket.AF_INET6 if ":" in name else socket.AF_INET
        return socket.inet_ntop(family, socket.inet_pton(family, name)), None
    except (OSError, ValueError):
        return None, None if field == ABSENT else name


def client(field: bytes) -> tuple[str | None, ...]:
    """Return address, name, session and user of `client session user`; the user may hold spaces."""
    name, session, user = field.split(b" ", 2)
    return address(name) + text(session) + text(user)


def common_time(field: bytes) -> tuple[datetime, int]:
    """Return the UTC time and the offset in minutes of `17/May/2015:10:05:03 +0000`.

    A leap second, 60, reads as 59.

    Raises:
        RejectedLine: another form, or no such day, time or offset.
    """
    second = SECONDS.get(field[18:20])
    if second is None:
        raise _not_a_time(field)
    try:
        minute, offset = _minute(field[:18] + field[20:])
    except (ValueError, OverflowError) as error:
        raise RejectedLine(f"time {quote(field)} does not exist: {error}") from None
    except KeyError:
        raise _not_a_time(field) from None
    return minute + second, offset


@lru_cache(maxsize=KEPT_MINUTES)
def _minute(field: bytes) -> tuple[datetime, int]:
    match = MINUTE.fullmatch(field)
    if match is None:
        raise KeyError(field)
    day, month, year, hour, minute, sign, offset_hours, offset_minutes = match.groups()
    offset = (int(offset_hours) * 60 + int(offset_minutes)) * (-1 if sign == b"-" else 1)
    local = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), tzinfo=UTC)
    return local - timedelta(minutes=offset), offset


def _not_a_time(field: bytes) -> RejectedLine:
    return RejectedLine(f"time {quote(field)} is not of the form 17/May/2015:10:05:03 +0000")


def status(field: bytes) -> tuple[int | None]:
    """Return the status code of three digits, None for `-`."""
    return (None if field == ABSENT else int(field),)


def size(field: bytes) -> tuple[int | None]:
    """Return a size in bytes, None for `-`.

    Raises:
        RejectedLine: it is more than a bigint holds.
    """
    if field == ABSENT:
        return (None,)
    if len(field) > SAFE_DIGITS and (len(field) > MAX_DIGITS or int(field) > MAX_BIGINT):
        raise RejectedLine(f"size {quote(field)} is over {MAX_BIGINT}")
    return (int(field),)


def quote(field: bytes) -> str:
    """Return the first 40 bytes of a field as a printable literal, for a reason."""
    return ascii(decode(field[:40])) + ("…" if len(field) > 40 else "")  # noqa: PLR2004
