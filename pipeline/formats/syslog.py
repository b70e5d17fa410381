"""syslog: lines of RFC 3164, with the time of rsyslog's newer default too, and of RFC 5424.

The priority, `<34>`, is optional in RFC 3164, as files seldom have it. Severity goes to `level`, the
machine to `server_name`, the tag to `program`, and facility, message id and structured data to `extra`.
"""

import re
from datetime import datetime
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats.fields import MAX_BIGINT, decode
from pipeline.formats.line import LineFormat
from pipeline.formats.times import ISO, Time, bsd_time, moment

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", *(f"local{number}" for number in range(8))),
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
#: Priority, and a time of either form; then the machine.
HEAD = re.compile(
    r"(?:<(\d{1,3})>)?([A-Z][a-z][a-z] {1,2}\d\d?(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)):? (\S{1,255})(?: |$)",
    re.ASCII,
)
#: The tag before the message: a program, and its process in brackets.
TAG = re.compile(r"([^\s:\[\]]{1,128})(?:\[([^\]\s]{0,64})\])?:(?: |$)")
#: Priority, version, time, machine, program, process, message id: RFC 5424, section 6.
HEAD_5424 = re.compile(
    r"<(\d{1,3})>1 (\S{1,64}) (\S{1,255}) (\S{1,128}) (\S{1,128}) (\S{1,64})(?: |$)", re.ASCII
)
NIL = "-"
#: The start of an element of structured data, and a parameter of one. The loop of the value is unrolled.
ELEMENT = re.compile(r'\[([^\s="\]]{1,255})')
PARAMETER = re.compile(r' ([^\s="\]]{1,255})="([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
#: What a backslash may stand before in a value; before others it is itself.
ESCAPED = re.compile(r'\\(["\\\]])')
COLUMNS = ("timestamp", "utc_offset_minutes", "inferred", "level", "server_name", "program", "process_id")


def legacy(line: bytes, at: datetime) -> dict[str, Any]:
    """Return the values of a line of RFC 3164.

    Raises:
        RejectedLine: it has no such head; a tag may be missing.
    """
    text = decode(line)
    match = HEAD.match(text)
    if match is None:
        raise RejectedLine("expected a time and a host at byte 0", 0)
    priority, time, host = match.groups()
    values = {**_time(time, at, match.start(2)).columns(), "server_name": host}
    extra = _priority(priority, values)
    rest = text[match.end() :]
    if tag := TAG.match(rest):
        values["program"] = tag[1]
        _put_process(tag[2], values, extra)
        rest = rest[tag.end() :]
    return _finished(values, rest, extra)


def _time(text: str, at: datetime, position: int) -> Time:
    try:
        return moment(text) if ISO.fullmatch(text) else bsd_time(text, at)
    except ValueError as error:
        raise RejectedLine(f"time {text!r} does not exist: {error}", position) from None


def _priority(priority: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """Set the level that a priority says; return the facility for `extra`."""
    if priority is None:
        return {}
    facility, severity = divmod(int(priority), len(SEVERITIES))
    if facility >= len(FACILITIES):
        raise RejectedLine(f"priority {priority!r} is over {len(FACILITIES) * len(SEVERITIES) - 1}", 1)
    values["level"] = SEVERITIES[severity]
    return {"facility": FACILITIES[facility]}


def _put_process(text: str | None, values: dict[str, Any], extra: dict[str, Any]) -> None:
    if text and text.isascii() and text.isdigit() and int(text) <= MAX_BIGINT:
        values["process_id"] = int(text)
    elif text and text != NIL:
        extra["process"] = text


def _finished(values: dict[str, Any], message: str, extra: dict[str, Any]) -> dict[str, Any]:
    return values | {"message": message, "extra": extra or None}


def modern(line: bytes, at: datetime) -> dict[str, Any]:  # noqa: ARG001 - its times have their year
    """Return the values of a line of RFC 5424.

    Raises:
        RejectedLine: head or structured data are not as they should be, or there is no time.
    """
    text = decode(line)
    match = HEAD_5424.match(text)
    if match is None:
        raise RejectedLine("expected the head of RFC 5424 at byte 0", 0)
    priority, time, host, program, process, message_id = match.groups()
    if time == NIL:
        raise RejectedLine("no field with a time", match.start(2))
    try:
        values = moment(time if ISO.fullmatch(time) else "").columns()
    except ValueError as error:
        raise RejectedLine(f"time {time!r} does not exist: {error}", match.start(2)) from None
    values |= {"server_name": _given(host), "program": _given(program)}
    extra = _priority(priority, values)
    _put_process(process, values, extra)
    if message_id != NIL:
        extra["message_id"] = message_id
    structured, end = _structured(text, match.end())
    if structured:
        extra["structured_data"] = structured
    return _finished(values, text[end:].removeprefix("\ufeff"), extra)


def _given(text: str) -> str | None:
    return None if text == NIL else text


def _structured(text: str, position: int) -> tuple[dict[str, dict[str, str]], int]:
    """Return the elements that begin at a position of the text, and where the message begins."""
    found: dict[str, dict[str, str]] = {}
    if text.startswith(NIL, position):
        position += 1
    else:
        while match := ELEMENT.match(text, position):
            parameters = found.setdefault(match[1], {})
            position = match.end()
            while match := PARAMETER.match(text, position):
                parameters[match[1]] = ESCAPED.sub(r"\1", match[2])
                position = match.end()
            if not text.startswith("]", position):
                raise _expected('a parameter or "]"', text, position)
            position += 1
        if not found:
            raise _expected("structured data", text, position)
    if position < len(text) and text[position] != " ":
        raise _expected("a space", text, position)
    return found, min(position + 1, len(text))


def _expected(what: str, text: str, position: int) -> RejectedLine:
    place = len(text[:position].encode())
    return RejectedLine(f"expected {what} at byte {place}", place)


SYSLOG = LineFormat(
    "syslog",
    1,
    (*COLUMNS, "message", "extra"),
    legacy,
    "syslog of RFC 3164, as in /var/log/syslog; year and zone are inferred where the time lacks them",
    b"Nov 24 12:00:00 web-1 cron[4711]: (root) CMD (run-parts /etc/cron.hourly)",
    "[<priority>]time host [program[process]:] message",
)
SYSLOG_5424 = LineFormat(
    "syslog5424",
    1,
    (*COLUMNS, "message", "extra"),
    modern,
    "syslog of RFC 5424, with structured data",
    b'<165>1 2026-11-24T12:00:00.003Z web-1 app 4711 ID47 [origin@32473 ip="203.0.113.9"] started',
    "<priority>1 time host program process message-id [structured data] message",
)
