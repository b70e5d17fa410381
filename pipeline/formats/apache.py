"""Formats from Apache's `LogFormat` strings."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import ConfigurationError, RejectedLine
from pipeline.formats.base import Convert, Format
from pipeline.formats.fields import address, decode, size, text
from pipeline.formats.moments import MOMENT_COLUMNS, epoch_time, iso_time, slashed_time
from pipeline.formats.quantities import duration, status_code, whole
from pipeline.formats.request import REQUEST_COLUMNS, request
from pipeline.formats.template import Part, Variable, compile_format, time_variable

#: `%`, modifiers, an argument in braces, and the directive: one letter, or two behind ^.
DIRECTIVE = re.compile(r"%(%|([<>!0-9,]*)(?:\{([^}]*)\})?([<>]?)(\^[A-Za-z]{2}|[A-Za-z]))")
#: Escapes of a string in the configuration.
ESCAPE = re.compile(r"\\([\"\\tn])")
ESCAPED = {'"': '"', "\\": "\\", "t": "\t", "n": "\n"}
NUMBER = r"\d+|-"
#: Seconds of the units of %T.
UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
#: Digits since 1970 in each unit.
EPOCH_DIGITS = {"sec": r"\d{1,10}", "msec": r"\d{11,13}", "usec": r"\d{14,16}"}
#: A moment in whose strftime each part has other digits.
PROBE = datetime(2015, 11, 27, 10, 35, 43, tzinfo=UTC)


def query(field: bytes) -> tuple[str | None]:
    """Return the query of `%q`, which begins with its question mark or is empty."""
    return (decode(field[1:]) if field.startswith(b"?") else None,)


#: What a directive fills, its conversion, and its form where that is known.
COLUMNS: dict[str, tuple[tuple[str, ...], Convert, str]] = {
    "h": (("ip", "client_host"), address, ""),
    "a": (("ip", "client_host"), address, ""),
    "l": (("session",), text, ""),
    "r": (REQUEST_COLUMNS, request, ""),
    "s": (("status",), status_code, r"\d\d\d|-"),
    "b": (("size_bytes",), size, NUMBER),
    "B": (("size_bytes",), size, NUMBER),
    "O": (("size_bytes",), size, NUMBER),
    "D": (("duration_seconds",), duration(1e-6), NUMBER),
    "v": (("server_name",), text, ""),
    "V": (("server_name",), text, ""),
    "m": (("rest_method",), text, ""),
    "U": (("path",), text, ""),
    "H": (("rest_version",), text, ""),
    "P": (("process_id",), whole, NUMBER),
}
#: Names in `extra` of directives that have no column, or whose column is taken.
KEYS = {
    "A": "local_ip",
    "B": "body_bytes",
    "b": "body_bytes",
    "O": "bytes_sent",
    "I": "bytes_received",
    "S": "bytes_total",
    "T": "seconds",
    "D": "microseconds",
    "f": "filename",
    "k": "keepalive_requests",
    "L": "request_log_id",
    "p": "server_port",
    "R": "response_handler",
    "X": "connection_status",
    "a": "client_ip",
    "h": "client_host",
    "H": "protocol",
    "m": "method",
    "P": "process_id",
    "U": "path",
    "v": "server_name",
    "V": "server_name",
}
#: Directives whose argument names the value.
NAMED = {"i": "", "o": "response_", "C": "cookie_", "e": "env_", "n": "note_"}
HEADERS: dict[str, tuple[str, ...]] = {
    "referer": ("referer",),
    "user-agent": ("user_agent",),
    "host": ("server_name",),
}


def from_apache(name: str, string: str) -> Format:
    r"""Return the format of lines that Apache writes for a `LogFormat` string; `\"` in it is a quote.

    Raises:
        ConfigurationError: it says no time that is known, or where one value ends cannot be told.
    """
    plain = ESCAPE.sub(lambda match: ESCAPED[match[1]], string)
    return compile_format(name, list(_parts(name, plain)), "access log of Apache, from its LogFormat")


def _parts(name: str, string: str) -> Iterator[Part]:
    end = 0
    for match in DIRECTIVE.finditer(string):
        yield string[end : match.start()]
        end = match.end()
        if match[1] == "%":
            yield "%"
        else:
            yield from _directive(name, match[0], match[3], match[5])
    yield string[end:]
    if "%" in DIRECTIVE.sub("", string):
        raise ConfigurationError(f"format {name}: a % that begins no directive; write %% for the character")


def _directive(name: str, label: str, argument: str | None, letter: str) -> Iterator[Part]:
    if letter == "t" and argument is None:
        yield from ("[", time_variable(label), "]")
    elif letter == "t":
        yield _time(name, label, argument or "")
    elif letter == "u":
        yield Variable(label, "user", ("user_name",), text)
    elif letter == "q":
        yield Variable(label, "query", ("query",), query, first="?")
    elif letter == "T":
        yield _duration(name, label, argument or "")
    elif letter in NAMED and argument:
        yield _named(label, letter, argument)
    elif argument and letter in "aPp":
        yield Variable(label, f"{KEYS[letter]}_{argument}")
    else:
        columns, convert, body = COLUMNS.get(letter, ((), text, ""))
        yield Variable(label, KEYS.get(letter, _key(letter)), columns, convert, body, letter == "r")


def _key(letter: str) -> str:
    return {"r": "request", "s": "status", "l": "identity"}.get(letter, f"directive_{letter.lstrip('^')}")


def _duration(name: str, label: str, unit: str) -> Variable:
    if unit not in UNITS:
        raise ConfigurationError(f"format {name}: {label} has an unknown unit; s, ms and us are known")
    return Variable(label, f"seconds_{unit}", ("duration_seconds",), duration(UNITS[unit]), NUMBER)


def _named(label: str, letter: str, argument: str) -> Variable:
    columns = HEADERS.get(argument.lower(), ()) if letter == "i" else ()
    key = NAMED[letter] + argument.lower().replace("-", "_")
    blanks = letter in "io" and argument.lower() in ("user-agent", "cookie", "accept", "accept-language")
    return Variable(label, key, columns, text, "", blanks)


def _time(name: str, label: str, form: str) -> Variable:
    """Return the variable of a time in a form of strftime, or one of Apache's own."""
    form = form.removeprefix("begin:").removeprefix("end:")
    if form in EPOCH_DIGITS:
        return Variable(label, "time", MOMENT_COLUMNS, _since_epoch(form), EPOCH_DIGITS[form])
    if form in ("msec_frac", "usec_frac"):
        return Variable(label, form)
    example = PROBE.strftime(form)
    for convert in (iso_time, slashed_time):
        try:
            if convert(example.encode())[0] == PROBE:
                return Variable(label, "time", MOMENT_COLUMNS, convert, _time_body(example))
        except RejectedLine:
            continue
    raise ConfigurationError(
        f"format {name}: the time {label} has an unknown form; use %t, or %Y-%m-%dT%H:%M:%S%z in the braces"
    )


def _time_body(example: str) -> str:
    """Return the pattern of a time like this one: as many digits, letters for the month, any sign."""
    body = re.sub(r"\d", r"\\d", re.escape(example)).replace("Nov", "[A-Z][a-z][a-z]")
    return re.sub(r"\\\+", "[+-]", body).replace("\\ ", " ")


def _since_epoch(form: str) -> Convert:
    digits = {"sec": 0, "msec": 3, "usec": 6}[form]

    def convert(field: bytes) -> tuple[Any, ...]:
        if not digits or len(field) <= digits:
            return epoch_time(field)
        return epoch_time(field[:-digits] + b"." + field[-digits:])

    return convert
