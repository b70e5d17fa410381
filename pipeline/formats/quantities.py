"""Numbers, durations and addresses with ports → values, and several captures → the one column `extra`."""

import re
from collections.abc import Callable
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats.base import Group
from pipeline.formats.fields import ABSENT, MAX_BIGINT, MAX_DIGITS, address, decode, quote, storable
from pipeline.formats.request import MAX_PORT

#: A decimal number of a length that is worth a conversion.
NUMBER = re.compile(rb"-?\d{1,18}(?:\.\d{1,18})?")
INTEGER = re.compile(rb"-?\d{1,15}")
#: Numbers of a list as nginx writes one value for each upstream server: `0.001, 0.002 : 0.003`.
LISTED = re.compile(rb"\d{1,12}(?:\.\d{1,9})?")

#: Turns the bytes of a capture into fields of `extra`, by name.
Extract = Callable[[bytes], dict[str, Any]]


def whole(field: bytes) -> tuple[int | None]:
    """Return a whole number that a bigint holds, None for `-`.

    Raises:
        RejectedLine: it is none.
    """
    if field == ABSENT:
        return (None,)
    digits = field.removeprefix(b"+")
    if not digits.isdigit() or len(digits) > MAX_DIGITS or int(digits) > MAX_BIGINT:
        raise RejectedLine(f"{quote(field)} is no whole number up to {MAX_BIGINT}")
    return (int(digits),)


def status_code(field: bytes) -> tuple[int | None]:
    """Return a status code from 100 to 999; None for `-`, `0` and `-1`: no answer was sent.

    Raises:
        RejectedLine: it is no such number.
    """
    if field in (ABSENT, b"0", b"000", b"-1"):
        return (None,)
    if len(field) != 3 or not field.isdigit() or field.startswith(b"0"):  # noqa: PLR2004
        raise RejectedLine(f"status {quote(field)} is not from 100 to 999")
    return (int(field),)


def duration(unit: float) -> Callable[[bytes], tuple[float | None]]:
    """Return the conversion of a number of units, of so many seconds each, to seconds; None for `-`."""

    def convert(field: bytes) -> tuple[float | None]:
        return (seconds(field, unit),)

    return convert


def seconds(field: bytes, unit: float = 1.0) -> float | None:
    """Return a duration in seconds; None for `-`, nothing, and for less than zero: it was not measured.

    Raises:
        RejectedLine: it is no number.
    """
    if field in (ABSENT, b""):
        return None
    number = field.removeprefix(b"+")
    if NUMBER.fullmatch(number) is None:
        raise RejectedLine(f"duration {quote(field)} is no number")
    value = float(number)
    # Divided, not multiplied: 109 ms are 0.109 s, and not 0.10900000000000001.
    return None if value < 0 else value * unit if unit >= 1 else value / round(1 / unit)


def listed_seconds(field: bytes) -> tuple[float | None]:
    """Return the sum of a list of durations in seconds, one for each server that was tried; None for none."""
    values = LISTED.findall(field)
    return (round(sum(map(float, values)), 9) if values else None,)


def endpoint(field: bytes) -> tuple[str | None, str | None, int | None]:
    """Return address, name and port of `address:port`; the address may be IPv6, in brackets or not."""
    host, colon, port = field.rpartition(b":")
    if colon and port.isdigit() and len(port) <= len(str(MAX_PORT)) and int(port) <= MAX_PORT:
        bare = host[1:-1] if host.startswith(b"[") and host.endswith(b"]") else host
        ip, name = address(bare)
        if ip is not None or b":" not in bare:
            return ip, name, int(port)
    return (*address(field), None)


def endpoint_address(field: bytes) -> tuple[str | None, str | None]:
    """Return address and name of `address:port`."""
    return endpoint(field)[:2]


def plain(field: bytes) -> int | float | str | None:
    """Return what a field of `extra` reads as: a number, a text, None for `-`."""
    if field == ABSENT:
        return None
    if INTEGER.fullmatch(field) and (field == b"0" or not field.lstrip(b"-").startswith(b"0")):
        return int(field)
    return decode(field)


def named(name: str, convert: Callable[[bytes], Any] = plain) -> Extract:
    """Return the conversion of a capture to the one field of this name; without a value it is left out."""

    def extract(field: bytes) -> dict[str, Any]:
        value = convert(field)
        return {} if value is None else {name: value}

    return extract


def extra_group(**parts: Extract) -> Group:
    """Return the group that fills `extra` from captures, by their names."""
    extracts = tuple(parts.values())

    def convert(fields: Any) -> tuple[dict[str, Any] | None]:
        pieces = fields if isinstance(fields, tuple) else (fields,)
        merged: dict[str, Any] = {}
        for extract, piece in zip(extracts, pieces, strict=True):
            merged |= extract(piece)
        return (storable(merged) or None,)

    return Group("extra", ("extra",), convert, tuple(parts))
