"""Formats from nginx's `log_format` strings."""

import re
from collections.abc import Iterator

from pipeline.formats.base import Convert, Format
from pipeline.formats.fields import address, decode, size, text
from pipeline.formats.moments import MOMENT_COLUMNS, epoch_time, iso_time
from pipeline.formats.quantities import duration, listed_seconds, named, status_code, whole
from pipeline.formats.request import REQUEST_COLUMNS, request, split_query
from pipeline.formats.template import Part, Variable, compile_format, time_variable

#: `$name` or `${name}`.
VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")
ADDRESS = r"unix:|[0-9A-Fa-f:.]+|-"
NUMBER = r"\d+|-"
SECONDS = r"\d+(?:\.\d+)?|-"
#: Values of several upstream servers: commas between servers, colons between groups. None begins with a
#: colon, so that where a list ends is never in doubt.
LIST = r"[^ ,:\n][^ ,\n]*(?:(?:, | : )[^ ,:\n][^ ,\n]*)*"
SECONDS_LIST = rf"(?:{SECONDS})(?:(?:, | : )(?:{SECONDS}))*"
ADDRESS_LIST = r"[^ ,\n]*(?:, ?[^ ,\n]+)*"


def target(field: bytes) -> tuple[str | None, str | None]:
    """Return path and query of a request's target."""
    return split_query(decode(field)) if field not in (b"-", b"") else (None, None)


#: What a variable fills, its conversion, and its form where that is known.
COLUMNS: dict[str, tuple[tuple[str, ...], Convert, str]] = {
    "remote_addr": (("ip", "client_host"), address, ADDRESS),
    "time_iso8601": (MOMENT_COLUMNS, iso_time, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"),
    "msec": (MOMENT_COLUMNS, epoch_time, r"\d{1,11}\.\d{1,9}"),
    "request": (REQUEST_COLUMNS, request, ""),
    "status": (("status",), status_code, r"\d\d\d|-"),
    "body_bytes_sent": (("size_bytes",), size, NUMBER),
    "bytes_sent": (("size_bytes",), size, NUMBER),
    "request_time": (("duration_seconds",), duration(1), SECONDS),
    "upstream_response_time": (("upstream_seconds",), listed_seconds, SECONDS_LIST),
    "http_referer": (("referer",), text, ""),
    "http_user_agent": (("user_agent",), text, ""),
    "server_name": (("server_name",), text, ""),
    "host": (("server_name",), text, ""),
    "http_host": (("server_name",), text, ""),
    "request_method": (("rest_method",), text, ""),
    "scheme": (("schema",), text, ""),
    "request_uri": (("path", "query"), target, ""),
    "uri": (("path",), text, ""),
    "document_uri": (("path",), text, ""),
    "args": (("query",), text, ""),
    "query_string": (("query",), text, ""),
    "server_protocol": (("rest_version",), text, ""),
    "pid": (("process_id",), whole, NUMBER),
}
#: Forms of variables that go to `extra`.
BODIES = {
    "request_length": NUMBER,
    "connection": NUMBER,
    "connection_requests": NUMBER,
    "remote_port": NUMBER,
    "server_port": NUMBER,
    "upstream_addr": LIST,
    "upstream_status": LIST,
    "upstream_connect_time": SECONDS_LIST,
    "upstream_header_time": SECONDS_LIST,
    "realip_remote_addr": ADDRESS,
    "http_x_forwarded_for": ADDRESS_LIST,
    "proxy_add_x_forwarded_for": ADDRESS_LIST,
}
#: Variables whose values hold blanks.
BLANKS = {"request", "http_user_agent", "http_cookie", "http_accept", "http_accept_language", "request_body"}
#: Variables that hold a path begin with a slash.
PATHS = {"request_uri", "uri", "document_uri"}


def from_nginx(name: str, string: str) -> Format:
    """Return the format of lines that nginx writes for a `log_format` string, its pieces joined.

    Raises:
        ConfigurationError: it says no time, or where one value ends cannot be told; names both variables.
    """
    return compile_format(name, list(_parts(string)), "access log of nginx, from its log_format")


def _parts(string: str) -> Iterator[Part]:
    end = 0
    for match in VARIABLE.finditer(string):
        yield string[end : match.start()]
        yield _variable(match[1] or match[2])
        end = match.end()
    yield string[end:]


def _variable(name: str) -> Variable:
    label = f"${name}"
    if name == "time_local":
        return time_variable(label)
    if name == "remote_user":
        return Variable(label, "user", ("user_name",), text)
    if name in ("upstream_connect_time", "upstream_header_time"):
        key = name.removesuffix("_time") + "_seconds"
        extract = named(key, lambda field: listed_seconds(field)[0])
        return Variable(label, key, body=SECONDS_LIST, extract=extract)
    columns, convert, body = COLUMNS.get(name, ((), text, BODIES.get(name, "")))
    key = name.removeprefix("http_") if name.startswith("http_") and not columns else name
    return Variable(label, key, columns, convert, body, name in BLANKS, "/" if name in PATHS else "")
