"""The formats of Apache against an independent parser, apachelogs."""

import re
from typing import Any

import apachelogs
import pytest

from pipeline.formats import get_format
from pipeline.formats.apache import from_apache
from pipeline.formats.request import join_url
from pipeline.generate import generate_lines
from tests.unit.formats.lines import parse, records

VHOST = '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"'
#: What the server escaped, and apachelogs reads back; here escapes stay as they are.
ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))")


def unescaped(value: str | None) -> str | None:
    """Return a text without its escapes, which stand for bytes of UTF-8."""
    if value is None:
        return None
    read = ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else m[2], value.encode())
    return read.decode("utf-8", "backslashreplace")


def request_line(row: dict[str, Any]) -> str | None:
    """Return the request again from its columns."""
    if row["path"] is None:
        return None
    url = join_url(tuple(row[name] for name in ("schema", "host", "port", "path", "query")))
    return " ".join(part for part in (row["rest_method"], url, row["rest_version"]) if part is not None)


def ours(row: dict[str, Any]) -> dict[str, Any]:
    """Return a record by the directives of Apache."""
    found = {
        "%h": row["ip"] or row["client_host"],
        "%l": row["session"],
        "%u": row["user_name"],
        "%t": row["timestamp"],
        "%r": unescaped(request_line(row)),
        "%>s": row["status"],
        "%b": row["size_bytes"],
    }
    for name, column in (("%{Referer}i", "referer"), ("%{User-Agent}i", "user_agent")):
        if column in row:
            found[name] = unescaped(row[column])
    return found


@pytest.mark.parametrize(
    ("name", "string"), [("combined", apachelogs.COMBINED), ("common", apachelogs.COMMON)]
)
def test_generated_lines_read_as_apachelogs_reads_them(name: str, string: str) -> None:
    """Every field of every generated line, with its time and numbers, is what the other parser finds."""
    lines = list(generate_lines(3000, seed=11, format=name))
    lines += [line.replace(b"GET /", rb"GET /\"a\\b\xc3\xa9") for line in lines[:300]]
    other = apachelogs.LogParser(string, encoding="utf-8")

    parsed = parse(get_format(name), b"".join(lines))

    assert not parsed.rejected
    for line, row in zip(lines, records(parsed), strict=True):
        entry = other.parse(line.decode())
        expected = {key: entry.directives[key] for key in ours(row)}
        assert ours(row) == expected


def test_a_string_of_apache_reads_as_apachelogs_reads_it() -> None:
    """A format made from the string of virtual hosts agrees with the other parser on the same string."""
    lines = [b"www.example.org:443 " + line for line in generate_lines(1000, seed=12)]
    other = apachelogs.LogParser(VHOST, encoding="utf-8")

    parsed = parse(from_apache("mine", VHOST), b"".join(lines))

    assert not parsed.rejected
    for line, row in zip(lines, records(parsed), strict=True):
        entry = other.parse(line.decode())
        assert (row["server_name"], row["extra"]["server_port"]) == (entry.virtual_host, entry.server_port)
        assert row["size_bytes"] == entry.bytes_out
        assert ours(row) | {"%b": None} == {key: entry.directives.get(key) for key in ours(row)}
