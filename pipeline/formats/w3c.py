"""The extended log file format of W3C, as IIS and CloudFront write it: a format is made from a Fields line.

A line `#Fields: date time c-ip …` says what the lines after it hold. Such a format goes by the name `w3c:`
and its fields, separated by commas, so that the name alone makes it again; `w3c` is the default of IIS.
CloudFront separates by tabs; then the name begins with `w3c-tabs:`.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from pipeline.errors import ConfigurationError, RejectedLine
from pipeline.formats.base import LONGEST_LINE_BYTES, Format, Group
from pipeline.formats.fields import ABSENT, address, decode, quote, text
from pipeline.formats.moments import MOMENT_COLUMNS, Moment, iso_time
from pipeline.formats.quantities import extra_group, named, seconds, status_code, whole

NAME = "w3c"
#: What stands between fields, by the prefix of a format's name.
SEPARATORS = {NAME: " ", f"{NAME}-tabs": "\t"}
HEADER = b"#"
FIELDS = re.compile(rb"^#Fields:[ \t]*([^\r\n]*)\r?$", re.MULTILINE)
#: Name of a field: printable, without a comma, which separates them in a format's name.
USABLE = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,64}")
#: Most fields of a line; IIS has some forty.
MOST_FIELDS = 128
#: What IIS logs when nothing was chosen.
IIS_FIELDS = (  # noqa: SIM905 - easier to read than fifteen strings
    "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) "
    "cs(Referer) sc-status sc-substatus sc-win32-status time-taken"
).split()
_QUOTED = r'"[^"\n]*"(?=[ \t\r\n]|\Z)'
#: A field: a text in quotes where it is closed before a blank, or anything without a blank.
ITEM = rf"(?:{_QUOTED}|(?!{_QUOTED})[^ \t\r\n]+)"
_DATE, _TIME = r"\d{4}-\d\d?-\d\d?", r"\d\d:\d\d:\d\d(?:\.\d{1,9})?"


def _bare(field: bytes) -> bytes:
    is_quoted = len(field) > 1 and field.startswith(b'"') and field.endswith(b'"')
    return field[1:-1] if is_quoted else field


def _text(field: bytes) -> tuple[str | None]:
    return text(_bare(field))


def _spaced(field: bytes) -> tuple[str | None]:
    """Return a text in which + stands for a blank, as in a user agent: IIS writes no blank in a field."""
    bare = _bare(field)
    return text(bare if bare is not field else bare.replace(b"+", b" "))


def _duration(field: bytes) -> tuple[float | None]:
    """Return `time-taken` in seconds: IIS writes milliseconds, and who writes a fraction means seconds."""
    return (seconds(field, 1.0 if b"." in field else 1e-3),)


def _uri(field: bytes) -> tuple[str | None, str | None]:
    bare = _bare(field)
    if bare == ABSENT:
        return None, None
    path, mark, query = decode(bare).partition("?")
    return path, query if mark else None


def _moment(fields: tuple[bytes, bytes]) -> Moment:
    at, offset, _ = iso_time(b"%sT%s" % fields)
    return at, offset, None  # the standard says that it is UTC


def _port(field: bytes) -> tuple[int | None]:
    (port,) = whole(field)
    if port is not None and port > 65535:  # noqa: PLR2004
        raise RejectedLine(f"port {quote(field)} is over 65535")
    return (port,)


#: Fields with columns of their own, by lower-case name; the others go to `extra`.
KNOWN: dict[str, tuple[tuple[str, ...], Callable[[bytes], tuple[Any, ...]]]] = {
    "c-ip": (("ip", "client_host"), address),
    "cs-username": (("user_name",), _text),
    "cs-method": (("rest_method",), _text),
    "cs-uri-stem": (("path",), _text),
    "cs-uri-query": (("query",), _text),
    "cs-uri": (("path", "query"), _uri),
    "cs-version": (("rest_version",), _text),
    "cs-protocol-version": (("rest_version",), _text),
    "cs-protocol": (("schema",), _text),
    "cs-host": (("server_name",), _text),
    "cs(host)": (("server_name",), _text),
    "x-host-header": (("server_name",), _text),
    "cs(user-agent)": (("user_agent",), _spaced),
    "cs(referer)": (("referer",), _text),
    "sc-status": (("status",), status_code),
    "sc-bytes": (("size_bytes",), whole),
    "time-taken": (("duration_seconds",), _duration),
}


def from_fields(names: Sequence[str], prefix: str = NAME) -> Format:
    """Return the format of lines with these fields, separated as the prefix of its name says.

    Raises:
        ConfigurationError: date or time is not among them, or there are too many.
    """
    lowered = [name.lower() for name in names]
    if not {"date", "time"} <= set(lowered) or len(names) > MOST_FIELDS:
        raise ConfigurationError(
            f"W3C fields {' '.join(names)[:200]!r}: date and time are needed, {MOST_FIELDS} fields at most"
        )
    captures = _captures(lowered)
    patterns = [_pattern(name, capture) for name, capture in zip(lowered, captures, strict=True)]
    groups, extra = [Group("moment", MOMENT_COLUMNS, _moment, ("date", "time"))], {}
    taken = set(MOMENT_COLUMNS)
    for name, capture in zip(lowered, captures, strict=True):
        columns, convert = KNOWN.get(name, ((), _text))
        if columns and taken.isdisjoint(columns):
            groups.append(Group(capture, columns, convert))
            taken.update(columns)
        elif capture not in ("date", "time"):
            extra[capture] = named(capture)
    if extra:
        groups.append(extra_group(**extra))
    is_default = prefix == NAME and lowered == [name.lower() for name in IIS_FIELDS]
    return Format(
        NAME if is_default else f"{prefix}:{','.join(names)}",
        1,
        SEPARATORS[prefix].join(patterns),
        tuple(groups),
        "extended log of IIS in its default fields; others are read from the line #Fields",
        EXAMPLE if is_default else b"",
        essential="sc_status" if "sc_status" in captures else "",
        header=HEADER,
    )


def _captures(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        capture = re.sub(r"[^a-z0-9]+", "_", name).strip("_") or "field"
        capture = f"f_{capture}" if capture[0].isdigit() else capture
        found.append(f"{capture}_{len(found)}" if capture in found else capture)
    return found


def _pattern(name: str, capture: str) -> str:
    body = {"date": _DATE, "time": _TIME}.get(name, ITEM)
    return f"(?P<{capture}>{body})"


def makes(name: str) -> bool:
    """Return whether a name is one of this module's, beside `w3c`."""
    prefix, colon, _ = name.partition(":")
    return bool(colon) and prefix in SEPARATORS


@lru_cache(maxsize=256)
def from_name(name: str) -> Format:
    """Return the format of a name such as `w3c:date,time,c-ip`.

    Raises:
        ConfigurationError: its fields make no format.
    """
    prefix, _, names = name.partition(":")
    return from_fields(names.split(","), prefix)


def declared(block: bytes) -> Format | None:
    """Return the format that the last usable Fields line of a block declares, None where there is none."""
    for match in reversed(list(FIELDS.finditer(block))):
        names = match[1].decode("ascii", "replace").split()
        following = block[match.end() : match.end() + LONGEST_LINE_BYTES].lstrip(b"\n").partition(b"\n")[0]
        prefix = f"{NAME}-tabs" if b"\t" in following else NAME
        if not all(map(USABLE.fullmatch, names)):
            continue
        if [name.lower() for name in names] == [name.lower() for name in IIS_FIELDS] and prefix == NAME:
            return W3C
        try:
            return from_name(f"{prefix}:{','.join(names)}")
        except ConfigurationError:
            continue
    return None


EXAMPLE = (
    b"2015-05-17 10:05:03 192.0.2.1 GET /default.aspx a=1 443 - 203.0.113.9 "
    b"Mozilla/5.0+(Windows+NT+10.0) https://example.org/ 200 0 0 109"
)
W3C = from_fields(IIS_FIELDS)
