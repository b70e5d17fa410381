"""What format files of users make of lines: columns, types, units, names, lines that follow each other."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from pipeline.formats.examples import failures
from pipeline.formats.userfile import load
from tests.unit.formats.lines import COMMON_LINE, record, rejection
from tests.unit.formats.userfiles import LINE, PATTERN, written


def test_fields_have_columns_types_and_units(formats_folder: Path) -> None:
    """A field goes to its column with its type, by its usual name without a word, or typed to extra."""
    body = """pattern = '{word:when} {word:ip} {integer:status} {word:took} {word:ok} {word:n} "{quoted:req}"'
[fields.when]
column = "timestamp"
format = "%d.%m.%Y-%H:%M:%S%z"
[fields.took]
column = "duration_seconds"
unit = "us"
[fields.ok]
type = "boolean"
[fields.n]
type = "double"
[fields.req]
column = "path"
type = "request"
"""
    line = '24.11.2026-13:00:00+0100 203.0.113.9 200 1500 yes 1.5 "GET /a?b=1 HTTP/1.1"'
    format_ = load(written(formats_folder, body, example=f"'{line}'")).format

    found = {key: value for key, value in record(format_, line.encode()).items() if value is not None}
    assert {
        "start": 0,
        "timestamp": datetime(2026, 11, 24, 12, tzinfo=UTC),
        "utc_offset_minutes": 60,
        "ip": "203.0.113.9",
        "status": 200,
        "duration_seconds": 0.0015,
        "rest_method": "GET",
        "path": "/a",
        "query": "b=1",
        "rest_version": "HTTP/1.1",
        "extra": {"ok": True, "n": 1.5},
    } == found


def test_a_field_that_does_not_convert_is_named(formats_folder: Path) -> None:
    """The record is kept, the value as it is in extra, the field's name in failed_fields."""
    body = PATTERN.replace("integer:x", "word:x") + "[fields.x]\ntype='integer'\n"
    format_ = load(written(formats_folder, body)).format

    found = record(format_, LINE.replace(b"x=1", b"x=many"))

    assert (found["failed_fields"], found["extra"]) == ("x", {"x": "many"})


@pytest.mark.parametrize(
    ("kind", "line", "extra"),
    [
        ("json", b'{"time": 1, "rt": 35, "http.code": "200", "n": "7"}', {"n": 7}),
        ("logfmt", b"time=1 rt=35 http.code=200 n=7", {"n": 7}),
    ],
)
def test_names_are_mapped(formats_folder: Path, kind: str, line: bytes, extra: dict[str, Any]) -> None:
    """JSON lines and logfmt take further names for columns, with types and units."""
    body = f"""{kind} = true
[map]
"http.code" = "status"
rt = {{ column = "duration_seconds", unit = "ms" }}
n = {{ type = "integer" }}
"""
    found = record(load(written(formats_folder, body, example=f"'{line.decode()}'")).format, line)

    assert (found["status"], found["duration_seconds"], found["extra"]) == (200, 0.035, extra)


@pytest.mark.parametrize(
    ("server", "string"),
    [
        ("nginx", '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'),
        ("apache", r"%h %l %u %t \"%r\" %>s %b"),
    ],
)
def test_a_string_of_a_server_makes_a_format(formats_folder: Path, server: str, string: str) -> None:
    """The server's own string does for a pattern, and what is wrong with it is told under its key."""
    example = f"'{COMMON_LINE.decode()}'"
    format_ = load(written(formats_folder, f"{server} = '{string}'\n", example=example)).format

    assert (format_.name, format_.version, format_.example) == ("mine", 1, COMMON_LINE)
    assert record(format_, COMMON_LINE)["status"] == 200
    with pytest.raises(ConfigurationError, match=rf"mine.toml: {server}: "):
        load(written(formats_folder, f"{server} = 'no time'\n", example=example))


def test_a_continuation_joins_lines_to_their_record(formats_folder: Path) -> None:
    """A test of a file may hold several lines; what continues a record has its time and place."""
    tests = f"""continuation = '[ ]'
[[test]]
line = '''{LINE.decode()}
  at a.b'''
[test.record]
timestamp = 2026-11-24T12:00:00Z
utc_offset_minutes = 0
inferred = "zone"
message = "  at a.b"
continues = 0
[[test]]
line = '  at a.b'
rejected = 'continues a line before this batch'
"""
    user = load(written(formats_folder, PATTERN + tests))

    assert list(failures(user.format, user.tests)) == []


def test_a_rejected_line_says_where(formats_folder: Path) -> None:
    """The reason names the group that does not fit, and the byte where the fitting part ends."""
    format_ = load(written(formats_folder)).format

    assert rejection(format_, LINE + b" ") == ("expected the end of the line at byte 32", 32)
    assert rejection(format_, LINE.replace(b"x=1", b"x=")) == ('expected "x" at byte 31', 31)
    assert rejection(format_, b"2026") == ('expected "time" at byte 0', 0)
