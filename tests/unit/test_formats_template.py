"""Formats made from the log strings of nginx and Apache."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from pipeline.formats import get_format
from pipeline.formats.apache import from_apache
from pipeline.formats.base import Format
from pipeline.formats.nginx import from_nginx
from pipeline.formats.samples import SAMPLES
from pipeline.generate import generate_lines
from tests.cost import TIMES_LONGER, grows_in_line
from tests.unit.formats.lines import COMBINED_LINE, COMMON_LINE, parse, record, records, rejection

#: The format that nginx has built in, and Debian's for Apache.
NGINX = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)
VHOST = r"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""
AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def present(columns: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that are not NULL."""
    return {name: value for name, value in columns.items() if value is not None}


def test_the_string_of_combined_makes_combined() -> None:
    """The string of nginx's combined reads generated lines, hostile ones too, as the built-in format does."""
    block = b"".join(generate_lines(2000, seed=7, broken=0.2))
    ours, built_in = parse(from_nginx("mine", NGINX), block), parse(get_format("combined"), block)

    read = {row["start"]: present(row) for row in records(built_in)}
    for row in records(ours):
        assert present(row) == read.pop(row["start"])
    # What is left has a size that no bigint holds; nothing else differs.
    assert read == {}


def test_the_string_of_vhost_combined_fills_its_columns() -> None:
    """Debian's string for Apache reads a line as the built-in vhost_combined does."""
    line = b"www.example.org:443 " + COMBINED_LINE

    assert present(record(from_apache("mine", VHOST), line)) == present(
        record(get_format("vhost_combined"), line)
    )


NGINX_CASES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "times": (
        '$time_iso8601 $request_time "$upstream_response_time" $upstream_connect_time',
        b'2015-05-17T12:05:03+02:00 0.250 "0.100, 0.050 : 0.050" -',
        {"timestamp": AT, "utc_offset_minutes": 120, "duration_seconds": 0.25, "upstream_seconds": 0.2},
    ),
    "parts of the request": (
        "$msec $request_method $scheme://$host$request_uri $server_protocol",
        b"1431857103.000 GET https://example.org/a?b=1 HTTP/2.0",
        {
            "timestamp": AT,
            "utc_offset_minutes": 0,
            "rest_method": "GET",
            "schema": "https",
            "server_name": "example.org",
            "path": "/a",
            "query": "b=1",
            "rest_version": "HTTP/2.0",
        },
    ),
    "lists without quotes": (
        "$time_iso8601 $upstream_addr $upstream_status $http_x_forwarded_for $foo",
        b"2015-05-17T10:05:03Z 10.0.0.1:80, 10.0.0.2:80 502, 200 198.51.100.7, 10.0.0.9 x",
        {
            "timestamp": AT,
            "utc_offset_minutes": 0,
            "extra": {
                "upstream_addr": "10.0.0.1:80, 10.0.0.2:80",
                "upstream_status": "502, 200",
                "x_forwarded_for": "198.51.100.7, 10.0.0.9",
                "foo": "x",
            },
        },
    ),
    "literals": (
        "<$time_iso8601>|a.b*[${status}]|$remote_addr:$remote_port|{$pid}|$http_a",
        b"<2015-05-17T10:05:03Z>|a.b*[000]|2001:db8::1:4711|{12}|x y",
        {
            "timestamp": AT,
            "utc_offset_minutes": 0,
            "ip": "2001:db8::1",
            "process_id": 12,
            "extra": {"remote_port": 4711},
        },
    ),
    "the request keeps its columns": (
        '$time_iso8601 $request_method "$request"',
        b'2015-05-17T10:05:03Z GET "GET /a HTTP/1.1"',
        {
            "timestamp": AT,
            "utc_offset_minutes": 0,
            "rest_method": "GET",
            "path": "/a",
            "rest_version": "HTTP/1.1",
            "extra": {"request_method": "GET"},
        },
    ),
}


@pytest.mark.parametrize(("string", "line", "expected"), NGINX_CASES.values(), ids=NGINX_CASES)
def test_variables_of_nginx(string: str, line: bytes, expected: dict[str, Any]) -> None:
    """Known variables fill typed columns, others go to extra by name, literals are literal."""
    if string.endswith("$http_a"):
        line = line.replace(b" y", b"")
        expected["extra"]["a"] = "x"

    assert present(record(from_nginx("mine", string), line)) == {"start": 0, **expected}


APACHE_CASES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "durations": (
        "%t %D %{ms}T %T %{Foo-Bar}i",
        b"[17/May/2015:10:05:03 +0000] 120345 120 0 x",
        {"duration_seconds": 0.120345, "extra": {"seconds_ms": 120, "seconds": 0, "foo_bar": "x"}},
    ),
    "parts of the request": (
        "%t %a %m %U%q %H %P %%",
        b"[17/May/2015:10:05:03 +0000] 2001:db8::1 GET /a?b=1 HTTP/1.1 77 %",
        {
            "ip": "2001:db8::1",
            "rest_method": "GET",
            "path": "/a",
            "query": "b=1",
            "rest_version": "HTTP/1.1",
            "process_id": 77,
        },
    ),
    "no query": ("%t %U%q", b"[17/May/2015:10:05:03 +0000] /a", {"path": "/a"}),
    "strftime": ("%{%Y-%m-%dT%H:%M:%S%z}t %v", b"2015-05-17T10:05:03+0000 h", {"server_name": "h"}),
    "tabs": ("%t\\t%v\\t%I", b"[17/May/2015:10:05:03 +0000]\th\t9", {"server_name": "h"}),
}


@pytest.mark.parametrize(("string", "line", "expected"), APACHE_CASES.values(), ids=APACHE_CASES)
def test_directives_of_apache(string: str, line: bytes, expected: dict[str, Any]) -> None:
    """Known directives fill typed columns, others go to extra, and both forms of the time are read."""
    if string.endswith("%I"):
        expected = expected | {"extra": {"bytes_received": 9}}

    assert present(record(from_apache("mine", string), line)) == {
        "start": 0,
        "timestamp": AT,
        "utc_offset_minutes": 0,
        **expected,
    }


@pytest.mark.parametrize(("form", "digits"), [("sec", b"1431857103"), ("usec", b"1431857103000000")])
def test_apache_may_write_seconds_since_the_epoch(form: str, digits: bytes) -> None:
    """A time in seconds, or smaller units, since 1970 is read."""
    assert record(from_apache("mine", f"%{{{form}}}t %h"), digits + b" ::1")["timestamp"] == AT


@pytest.mark.parametrize(
    ("compiler", "string", "complaint"),
    [
        (from_nginx, "$time_iso8601 $foo$bar", r"\$foo and \$bar stand next to each other"),
        (from_nginx, "$time_iso8601 $http_user_agent $status", r"\$http_user_agent may hold blanks"),
        (from_nginx, "$remote_addr", "no variable says the time"),
        (from_nginx, "", "no variable says the time"),
        (from_apache, "%t %h%{X}i", "%h and %{X}i stand next to each other"),
        (from_apache, "%t %{parsecs}T", "unknown unit"),
        (from_apache, "%{%c}t", "unknown form"),
        (from_apache, "%t 100%", "begins no directive"),
    ],
)
def test_a_string_that_no_one_can_read_back_is_refused(compiler: Any, string: str, complaint: str) -> None:
    """A string whose lines are ambiguous, or without a time, is refused by the names of its variables."""
    with pytest.raises(ConfigurationError, match=f"format mine: .*{complaint}"):
        compiler("mine", string)


MADE = {
    **{f"nginx: {name}": from_nginx("mine", string) for name, (string, *_) in NGINX_CASES.items()},
    **{f"Apache: {name}": from_apache("mine", string) for name, (string, *_) in APACHE_CASES.items()},
    "nginx": from_nginx("mine", NGINX),
    "virtual hosts": from_apache("mine", VHOST),
    **{form: from_apache("mine", f"%{{{form}}}t") for form in ("sec", "msec", "usec", "%d/%b/%Y:%T %z")},
}


@pytest.mark.parametrize("format_", MADE.values(), ids=MADE)
def test_a_made_format_has_an_example(format_: Format) -> None:
    """A format made from a string comes with a line that it reads, all typed columns filled."""
    columns = record(format_, format_.example)

    assert columns["timestamp"].year == 2015
    assert columns.get("status", 200) == 200
    assert all(
        columns[name] is not None for group in format_.groups for name in group.columns[:1] if name in SAMPLES
    )


#: What makes the end of a value, or of a list of them, as doubtful as it can be.
DOUBTS = (b" : a", b", a", b",", b" ", b"1 : ", b"- ", b"|", b"/", b"://", b"?", b" [17/", b'" ', b":")
LISTS = (
    "$time_iso8601 $upstream_addr $upstream_status $upstream_response_time $http_x_forwarded_for $foo",
    '$http_x_forwarded_for - $remote_user [$time_local] "$request" $upstream_addr $scheme://$host$request_uri|$a',
)


#: The longer of two compared lines, in bytes, without its head.
LONG_BYTES = 48 << 10


def read(format_: Format, line: bytes) -> None:
    """Read a line, and say why it is none of the format."""
    format_.match(line)
    format_.explain(line)


@pytest.mark.parametrize("piece", DOUBTS)
@pytest.mark.parametrize("string", LISTS)
def test_time_grows_with_the_line(string: str, piece: bytes) -> None:
    """A format from a string takes about sixteen times as long for such a line, whatever it repeats."""
    format_ = from_nginx("mine", string)
    for head in (b"", b"2015-05-17T10:05:03Z ", format_.example):
        short, long = (
            partial(read, format_, head + piece * (length // len(piece)))
            for length in (LONG_BYTES // TIMES_LONGER, LONG_BYTES)
        )
        assert grows_in_line(short, long), head


def test_a_rejected_line_names_the_variable() -> None:
    """The reason of a line that does not fit says which variable was expected."""
    format_ = from_nginx("mine", NGINX)

    assert rejection(format_, COMMON_LINE.replace(b" 200 ", b" 20x "))[0] == 'expected "status" at byte 66'
    assert format_.essential == "status"
