"""Kinds of named values: from what a program wrote, text or number, to the values of columns."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.formats.base import COLUMNS, ColumnType
from pipeline.formats.fields import address, storable
from pipeline.formats.request import REQUEST_COLUMNS, request, split_target
from pipeline.formats.times import of_layout

#: From a value, and the moment at which its line was stored first, to values by column; ValueError: it is no
#: such thing.
Convert = Callable[[Any, datetime], dict[str, Any]]
#: From a value to another one, for a single column.
Single = Callable[[Any], Any]


class WithoutUnit(ValueError):  # noqa: N818
    """A number may be a duration, but nothing says in which unit."""


#: What stands for no value, where no text is meant.
ABSENT = (None, "", "-")
#: Bits of the integers, with the sign.
BITS = {ColumnType.SMALLINT: 16, ColumnType.INTEGER: 32, ColumnType.BIGINT: 64}
INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
DOUBLE = re.compile(r"[+-]?\d{1,40}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
#: Units of durations: how many make a second, or seconds in one. Division keeps 35 ms at 0.035.
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "µs": 10**6, "ns": 10**9}
SECONDS = {"m": 60, "min": 60, "h": 3600}
UNITS = (*PER_SECOND, "min", "h")
#: A duration with its units, as Go and Java print it: `1.5ms`, `1h2m3s`.
DURATION = re.compile(r"(?:\d{1,18}(?:\.\d{1,18})?(?:ns|us|µs|ms|s|m|min|h) ?){1,6}", re.ASCII)
PART = re.compile(r"(\d+(?:\.\d+)?)([a-zµ]+)", re.ASCII)
#: An address with a port behind it.
WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::\d{1,5})?|(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}", re.ASCII)
#: Most characters of a list of durations.
LONGEST_SUM = 1000
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
TIME_COLUMNS = ("timestamp", "utc_offset_minutes", "inferred")
URL_COLUMNS = ("schema", "host", "port", "path", "query")
#: Kinds that fill columns of their own, and which.
SPREAD = {
    "time": TIME_COLUMNS,
    "ip": ("ip", "client_host"),
    "request": REQUEST_COLUMNS,
    "url": URL_COLUMNS,
}
#: Names of all kinds, for people.
KINDS = (
    "text",
    "integer",
    "bigint",
    "double",
    "boolean",
    "ip",
    "time",
    "duration",
    "request",
    "url",
    "level",
)


def text(value: Any) -> str | None:
    """Return a text that any database holds; a number or boolean in its JSON form."""
    if value is None or isinstance(value, str):
        return None if value in {None, "-"} else storable(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise TypeError("not a text")


def integer(type_: ColumnType) -> Single:
    """Return the reading of whole numbers that a column of this type holds."""
    limit = 1 << (BITS[type_] - 1)

    def read(value: Any) -> int | None:
        if isinstance(value, str) and INTEGER.fullmatch(value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
            raise ValueError(f"not a whole number of {BITS[type_]} bits")
        return value

    return read


def double(value: Any) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("not a number")
    if isinstance(value, str) and not DOUBLE.fullmatch(value):
        raise ValueError("not a number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("not a finite number") from None
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def boolean(value: Any) -> bool:
    """Return true or false, as JSON has them or as words."""
    word = str(value).lower()
    if word not in TRUE + FALSE:
        raise ValueError("neither true nor false")
    return word in TRUE


def duration(unit: str) -> Single:
    """Return the reading of durations into seconds; a plain number counts in `unit`, "" refuses it.

    Times of several upstream servers, `0.1, 0.2 : 0.3` as nginx writes them, are added.
    """

    def read(value: Any) -> float | None:
        if isinstance(value, str) and DURATION.fullmatch(value):
            parts = PART.findall(value)
            return float(sum(_seconds(float(number), name) for number, name in parts))
        if not unit:
            raise WithoutUnit
        if isinstance(value, str) and len(value) <= LONGEST_SUM and ("," in value or " " in value):
            numbers = [part for part in re.split(r"[,: ]+", value) if part != "-"]
            return _seconds(math.fsum(map(double, numbers)), unit) if numbers else None
        return _seconds(double(value), unit)

    return read


def _seconds(number: float, unit: str) -> float:
    return number * SECONDS[unit] if unit in SECONDS else number / PER_SECOND[unit]


def level(value: Any) -> str | None:
    """Return a severity; the numbers of bunyan and pino, 10 to 60, by their names."""
    names = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}
    return names.get(value, text(value)) if isinstance(value, int) else text(value)


def ip(value: Any, _at: datetime) -> dict[str, Any]:
    """Return `ip`, or `client_host` where it is a name; a port behind an address is left out."""
    if not isinstance(value, str):
        raise TypeError("not an address")
    match = WITH_PORT.fullmatch(value)
    found, name = address((match[1] or match[2] if match else value).encode(errors="backslashreplace"))
    return {"ip": found, "client_host": name}


def time(layout: str = "") -> Convert:
    """Return the reading of times of a layout: see `times.of_layout`."""
    return lambda value, at: of_layout(value, layout, at).columns()


def http_request(value: Any, _at: datetime) -> dict[str, Any]:
    """Return the parts of `GET /a?b=1 HTTP/1.1`."""
    if not isinstance(value, str):
        raise TypeError("not a request")
    return dict(zip(REQUEST_COLUMNS, request(value.encode(errors="backslashreplace")), strict=True))


def url(value: Any, _at: datetime) -> dict[str, Any]:
    """Return the parts of a URL, or of a path with its query."""
    if not isinstance(value, str):
        raise TypeError("not a URL")
    return dict(zip(URL_COLUMNS, split_target("GET", storable(value)), strict=True))


def converter(kind: str, column: str, *, unit: str = "", layout: str = "") -> Convert:
    """Return the conversion of a kind into a column, or into its own columns where it is one of SPREAD.

    Raises:
        ConfigurationError: there is no such kind or unit.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"no type {kind!r}; use one of {', '.join(KINDS)}")
    if unit not in {"", *UNITS}:
        raise ConfigurationError(f"no unit {unit!r}; use one of {', '.join(UNITS)}")
    spread: dict[str, Convert] = {"time": time(layout), "ip": ip, "request": http_request, "url": url}
    if kind in spread:
        return spread[kind]
    singles: dict[str, Single] = {
        "text": text,
        "integer": integer(_integer_type(column, ColumnType.INTEGER)),
        "bigint": integer(_integer_type(column, ColumnType.BIGINT)),
        "double": double,
        "boolean": boolean,
        "duration": duration(unit),
        "level": level,
    }
    read = singles[kind]
    if kind in {"text", "level"}:
        return lambda value, _at: {column: read(value)}
    return lambda value, _at: {column: None if value in ABSENT else read(value)}


def _integer_type(column: str, otherwise: ColumnType) -> ColumnType:
    type_ = COLUMNS.get(column, otherwise)
    return type_ if type_ in BITS else otherwise
