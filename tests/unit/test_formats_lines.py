"""Whole lines of each built-in format, ordinary and hostile."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.formats import get_format
from pipeline.formats.base import COLUMNS, ColumnType
from tests.unit.formats.lines import COMBINED_LINE, COMMON_LINE, HEAD, PATTERNS, PROXY_LINE, parse, record

COMBINED, COMMON, PROXY = (get_format(name) for name in ("combined", "common", "proxy"))
#: The Python type of a value in a column of each type.
PYTHON_TYPES: dict[ColumnType, type] = {
    ColumnType.TEXT: str,
    ColumnType.INET: str,
    ColumnType.SMALLINT: int,
    ColumnType.INTEGER: int,
    ColumnType.BIGINT: int,
    ColumnType.TIMESTAMP: datetime,
}
COMMON_COLUMNS: dict[str, Any] = {
    "start": 0,
    "ip": "203.0.113.9",
    "client_host": None,
    "session": None,
    "user_name": None,
    "timestamp": datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC),
    "utc_offset_minutes": 0,
    "rest_method": "GET",
    "schema": None,
    "host": None,
    "port": None,
    "path": "/a",
    "query": "b=1",
    "rest_version": "HTTP/1.1",
    "status": 200,
    "size_bytes": 1386,
}


def test_common_line_fills_its_columns() -> None:
    """A line of the common format has every column but referer and user agent."""
    assert record(COMMON, COMMON_LINE) == COMMON_COLUMNS


def test_combined_line_fills_its_columns() -> None:
    """The combined format is the common one with referer and user agent."""
    assert record(COMBINED, COMBINED_LINE) == {
        **COMMON_COLUMNS,
        "referer": "https://example.org/",
        "user_agent": "Mozilla/5.0 (X11)",
    }


def test_proxy_line_fills_its_columns() -> None:
    """The proxy format has a session, a user and an absolute URL."""
    assert {
        **COMMON_COLUMNS,
        "session": "YWN6Z2YRMwbb1KF",
        "user_name": "jane.doe@example.org",
        "timestamp": datetime(2023, 3, 1, 5, 0, 9, tzinfo=UTC),
        "utc_offset_minutes": -300,
        "schema": "https",
        "host": "app.example.com",
        "port": 443,
        "query": "x=1",
    } == record(PROXY, PROXY_LINE)


@pytest.mark.parametrize("line", [COMMON_LINE, COMBINED_LINE, PROXY_LINE])
def test_values_have_the_types_of_their_columns(line: bytes) -> None:
    """Each format gives values of the type that COLUMNS states, or NULL, and a timestamp always."""
    (columns,) = [record(format_, line) for format_ in PATTERNS if not parse(format_, line).rejected]

    assert isinstance(columns.pop("start"), int)
    assert columns["timestamp"] is not None
    for column, value in columns.items():
        assert value is None or type(value) is PYTHON_TYPES[COLUMNS[column]]


@pytest.mark.parametrize(
    ("user", "session", "name"),
    [
        (b"- jane", None, "jane"),
        (b"ident Jane Q. Doe", "ident", "Jane Q. Doe"),
        (b"- a [b] c", None, "a [b] c"),
        (b"- [17-May]", None, "[17-May]"),
        (b'- "" OR 1=1 --', None, '"" OR 1=1 --'),
    ],
)
def test_user_may_hold_spaces_and_brackets(user: bytes, session: str | None, name: str) -> None:
    """A user ends where the time begins, whatever it holds."""
    columns = record(COMBINED, COMBINED_LINE.replace(b"- -", user))

    assert (session, name) == (columns["session"], columns["user_name"])


@pytest.mark.parametrize(
    "url",
    [
        b'https://h/a?q={"k": "v"}',
        b'https://h/"',
        b'https://h/" 200 1 -x',
        b'https://h/?a=" 404 7 - "',
        b"https://h/\\",
        b"https://h/{}|<>`",
    ],
)
def test_proxy_url_may_hold_raw_quotes_and_braces(url: bytes) -> None:
    """The request of the proxy format ends at the last quote that status, size and the dash follow."""
    columns = record(PROXY, PROXY_LINE.replace(b"https://app.example.com:443/a?x=1", url))

    query = "" if columns["query"] is None else "?" + columns["query"]
    assert url.decode() == f"https://{columns['host']}{columns['path']}{query}"
    assert (columns["status"], columns["size_bytes"]) == (200, 1386)


@pytest.mark.parametrize(
    ("request_line", "path"),
    [
        (b"-", None),
        (b"", ""),
        (rb"\x16\x03\x01\x02\x00\x01", r"\x16\x03\x01\x02\x00\x01"),
        (b"\x16\x03\x01\xff", "\x16\x03\x01\\xff"),
        (b"a\0b", r"a\x00b"),
        (b"\xff\xfeG\0E\0T\0", r"\xff\xfeG\x00E\x00T\x00"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        (b"\x1b]52;c;AAAA\x07\x1b[31m", "\x1b]52;c;AAAA\x07\x1b[31m"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
        (b"=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        (rb"a \"quoted\" word", r"a \"quoted\" word"),
        (rb"ends with a backslash \\", r"ends with a backslash \\"),
    ],
)
def test_hostile_request_survives(request_line: bytes, path: str | None) -> None:
    """What is no HTTP request is kept whole as the path, and the line is accepted."""
    columns = record(COMBINED, COMBINED_LINE.replace(b"GET /a?b=1 HTTP/1.1", request_line))

    assert (None, path) == (columns["rest_method"], columns["path"])


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 1000,
        b"\xef\xbb\xbf",
        COMBINED_LINE.decode().encode("utf-16-le"),
        COMBINED_LINE.replace(b" 200 ", b" 20000 "),
        COMBINED_LINE.replace(b" 200 ", b" 2x0 "),
        COMBINED_LINE.replace(b" 1386 ", b" -1 "),
        COMBINED_LINE.replace(b" 1386 ", b" 99999999999999999999 "),
        COMBINED_LINE.replace(b"17/May/2015", b"31/Feb/2015"),
        COMBINED_LINE.replace(b'X11)"', b'X11)\\"'),
        COMBINED_LINE + b' "more"',
        COMMON_LINE,
        HEAD,
    ],
)
def test_broken_line_is_rejected_whole(line: bytes) -> None:
    """What is no line of the format is rejected with its bytes and a printable reason."""
    (rejected,) = parse(COMBINED, line + b"\n").rejected

    assert line == rejected.line
    assert rejected.reason.isprintable()


def test_absent_values_are_null() -> None:
    """A dash in any field is NULL."""
    line = b'- - - [17/May/2015:10:05:03 +0000] "-" - - "-" "-"'

    columns = record(COMBINED, line)

    present = {column for column, value in columns.items() if value is not None}
    assert {"start", "timestamp", "utc_offset_minutes"} == present
