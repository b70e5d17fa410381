"""Error logs of nginx and Apache: time, level, process, and the text with its context."""

import re
from typing import Any

from pipeline.formats.base import Format, Group
from pipeline.formats.fields import address, decode, text
from pipeline.formats.moments import MOMENT_COLUMNS, asctime, iso_time
from pipeline.formats.quantities import endpoint, extra_group, named
from pipeline.formats.request import REQUEST_COLUMNS, request

CONTEXT_COLUMNS = ("message", "ip", "client_host", "server_name", *REQUEST_COLUMNS, "referer")
#: What nginx adds behind a message, in its order; the first one is always there with a client.
KEYS = ("client", "server", "request", "subrequest", "upstream", "host", "referrer")
CLIENT = re.compile(r', client: (?=[^ ,"]+(?:, server: |$))')
NUMBER = re.compile(r"\*(\d{1,18}) ")
#: Source, system error and client before a message of Apache.
LEADING = re.compile(
    rb"(?:([\w./-]{1,99}\(\d{1,6}\)): )?(\(\d{1,9}\)[^:\[\n]{1,200}: )?(?:\[client ([^\]\s]{1,300})\] )?"
)
REFERER = b", referer: "


def nginx_context(field: bytes) -> dict[str, str]:
    """Return the parts of a message of nginx by their keys; `message` is what stands before them.

    The client's own text may imitate the keys: what stands in quotes is passed over.
    """
    line = decode(field)
    number = NUMBER.match(line)
    found = {} if number is None else {"connection": number[1]}
    line = line[number.end() :] if number else line
    start = _start_of_context(line)
    found["message"] = line[:start]
    for place, key in enumerate(KEYS):
        head = f", {key}: "
        if line.startswith(head, start):
            begin = start + len(head)
            start = _end_of_value(line, begin, KEYS[place + 1 :])
            value = line[begin:start]
            quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
            found[key] = value[1:-1] if quoted else value
    return found


def _start_of_context(line: str) -> int:
    quotes, passed = 0, 0
    candidates = [match.start() for match in CLIENT.finditer(line)]
    for candidate in candidates:
        quotes += line.count('"', passed, candidate)
        passed = candidate
        if quotes % 2 == 0:
            return candidate
    return candidates[-1] if candidates else len(line)


def _end_of_value(line: str, begin: int, following: tuple[str, ...]) -> int:
    # A quoted value ends where a quote and one of the keys that may follow it stand.
    quote = '"' if line.startswith('"', begin) else ""
    ends = [line.find(f"{quote}, {key}: ", begin + len(quote)) for key in following]
    found = [end + len(quote) for end in ends if end >= 0]
    return min(found, default=len(line))


def _nginx_columns(field: bytes) -> tuple[Any, ...]:
    parts = nginx_context(field)
    client = address(parts["client"].encode()) if "client" in parts else (None, None)
    asked = request(parts["request"].encode()) if "request" in parts else (None,) * len(REQUEST_COLUMNS)
    return (parts["message"], *client, parts.get("server") or None, *asked, parts.get("referrer"))


def _nginx_extra(field: bytes) -> dict[str, Any]:
    parts = nginx_context(field)
    names = {"upstream": "upstream", "host": "host_header", "subrequest": "subrequest"}
    found: dict[str, Any] = {name: parts[key] for key, name in names.items() if key in parts}
    return found | ({"connection": int(parts["connection"])} if "connection" in parts else {})


def _process_id(field: bytes) -> tuple[int]:
    return (int(re.match(rb"\d+", field)[0]),)  # type: ignore[index]


def _thread(field: bytes) -> dict[str, Any]:
    thread = re.search(rb"(?:#|tid )(\d+)", field)
    return {"thread_id": int(thread[1])} if thread else {}


NGINX_ERROR = Format(
    "nginx_error",
    1,
    r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>[a-z]{1,16})\] "
    r"(?P<process>\d{1,15}#\d{1,15}): (?P<text>{rest})",
    (
        Group("time", MOMENT_COLUMNS, iso_time),
        Group("level", ("level",), text),
        Group("process", ("process_id",), _process_id),
        Group("text", CONTEXT_COLUMNS, _nginx_columns),
        extra_group(process=_thread, text=_nginx_extra),
    ),
    "error log of nginx",
    b'2015/05/17 10:05:03 [error] 1234#5678: *9 open() "/srv/www/a" failed (2: No such file or directory), '
    b'client: 203.0.113.9, server: example.org, request: "GET /a HTTP/1.1", host: "example.org"',
)


def _apache_columns(field: bytes) -> tuple[str | None, ...]:
    _, error, client, rest = _apache_parts(field)
    message, referer = _referer(rest)
    ip, name, _ = endpoint(client) if client else (None, None, None)
    return (decode(error + message), ip, name, referer)


def _apache_parts(field: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    match = LEADING.match(field)
    assert match is not None, "every part of the pattern is optional"
    source, error, client = (part or b"" for part in match.groups())
    return source, error, client, field[match.end() :]


def _referer(message: bytes) -> tuple[bytes, str | None]:
    text_, comma, referer = message.rpartition(REFERER)
    return (text_, decode(referer)) if comma else (message, None)


def _apache_extra(field: bytes) -> dict[str, Any]:
    source, _, client, _ = _apache_parts(field)
    found: dict[str, Any] = {"source": decode(source)} if source else {}
    port = endpoint(client)[2] if client else None
    return found if port is None else found | {"client_port": port}


_ASCTIME = r"[A-Z][a-z][a-z] [A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})? \d{4}"
_TEXT = Group("text", ("message", "ip", "client_host", "referer"), _apache_columns)

APACHE_ERROR = Format(
    "apache_error",
    1,
    rf"\[(?P<time>{_ASCTIME})\] \[(?P<level>[^\]:\n]{{0,64}}:[a-z0-9]{{1,16}})\] "
    r"\[pid (?P<process>\d{1,15}(?::tid \d{1,20})?)\] (?P<text>{rest})",
    (
        Group("time", MOMENT_COLUMNS, asctime),
        Group("level", ("level",), lambda field: (decode(field.rpartition(b":")[2]),)),
        Group("process", ("process_id",), _process_id),
        _TEXT,
        extra_group(
            level=lambda field: named("module")(field.rpartition(b":")[0] or b"-"),
            process=_thread,
            text=_apache_extra,
        ),
    ),
    "error log of Apache 2.4",
    b"[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 4328636416] [client 203.0.113.9:1234] "
    b"File does not exist: /srv/www/favicon.ico, referer: https://example.org/",
)

APACHE22_ERROR = Format(
    "apache22_error",
    1,
    rf"\[(?P<time>{_ASCTIME})\] \[(?P<level>[a-z]{{1,16}})\] (?P<text>{{rest}})",
    (
        Group("time", MOMENT_COLUMNS, asctime),
        Group("level", ("level",), text),
        _TEXT,
        extra_group(text=_apache_extra),
    ),
    "error log of Apache 2.2 and older",
    b"[Wed Oct 11 14:32:52 2000] [error] [client 203.0.113.9] client denied by server configuration: /srv/a",
)
