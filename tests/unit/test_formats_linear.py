"""Time and memory of the parser on lines and blocks that are made to be slow."""

import re
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pipeline.formats import FORMATS, get_format
from pipeline.formats.base import FRAGMENTS, LONGEST_LINE_BYTES, Format
from pipeline.formats.line import LogFormat, parser_of
from pipeline.formats.parse import BlockParser
from pipeline.formats.rest import RestReader
from tests.cost import TIMES_LONGER, grows_in_line, least_seconds
from tests.unit.formats.lines import COMBINED_LINE, HEAD, PATTERNS, typed

#: The longer of two compared lines, in bytes: with its head, it is still read.
LONG_BYTES = LONGEST_LINE_BYTES - 2048
#: Lines of the longer of two compared blocks: from each a reading that runs on scans up to 250 KiB.
LONG_LINES = 1024
#: For one line of 8 KiB: a hundred times what it takes, and far less than what a quadratic pattern takes.
BLINK_SECONDS = 0.05

SSHD = b"Nov 24 12:00:00 web-1 sshd[4711]: "
END = b'" 200 1 "-" "-"'
LINES: dict[str, Callable[[int], bytes]] = {
    "spaces": lambda n: b" " * n,
    "NUL": lambda n: b"\0" * n,
    "client": lambda n: b"a" * n + HEAD[11:] + b'"' + END,
    "brackets": lambda n: b"a - " + b" [" * (n // 2),
    "user of brackets": lambda n: b"a - " + b"[" * n + HEAD[15:] + b'"' + END,
    "days": lambda n: b"a - " + b" [17/" * (n // 5),
    "times": lambda n: b"a - " + b' [17/x] "' * (n // 9),
    "long time": lambda n: HEAD[:19] + b"/" + b"x" * n + b'] "' + END,
    "quotes": lambda n: HEAD + b'"' * n,
    "escaped quotes": lambda n: HEAD + b'"' + b'\\"' * (n // 2),
    "escaped quotes, closed": lambda n: HEAD + b'"' + b'\\"' * (n // 2) + END,
    "escaped quotes in three fields": lambda n: b'%s"%s" 2 1 "%s" "%s' % (HEAD, *[b'\\"' * (n // 6)] * 3),
    "ends of a request": lambda n: HEAD + b'"' + b'" 200 1 ' * (n // 8),
    "ends of a line": lambda n: HEAD + b'"' + b'" 200 1 -' * (n // 9) + b"x",
    "digits": lambda n: HEAD + b'"GET / HTTP/1.1" 200 ' + b"1" * n + b' "-" "-"',
    "versions": lambda n: HEAD + b'"' + b"GET HTTP/1.1 " * (n // 13) + END,
    "at signs": lambda n: HEAD + b'"GET http://' + b"@[" * (n // 2) + b" HTTP/1.1" + END,
    "colons": lambda n: HEAD + b'"CONNECT ' + b":" * n + b" HTTP/1.1" + END,
    "JSON lists": lambda n: b'{"a":' + b"[" * n,
    "JSON lists, closed": lambda n: b'{"time":1,"a":' + b"[" * (n // 2) + b"]" * (n // 2) + b"}",
    "JSON objects": lambda n: b'{"a":' * (n // 5),
    "JSON digits": lambda n: b'{"time":1,"a":' + b"9" * n + b"}",
    "JSON time of digits": lambda n: b'{"time":' + b"9" * n + b"}",
    "JSON fraction": lambda n: b'{"time":1,"a":0.' + b"9" * n + b"}",
    "JSON exponent": lambda n: b'{"time":1,"a":1e' + b"9" * n + b"}",
    "JSON escapes": lambda n: b'{"time":1,"a":"' + rb"\\x\x" * (n // 4) + b'"}',
    "JSON equal names": lambda n: b'{"time":1' + b',"a":1' * (n // 6) + b"}",
    "JSON addresses": lambda n: b'{"time":1,"ip":"' + b"[:" * (n // 2) + b'"}',
    "JSON durations": lambda n: b'{"time":1,"elapsed":"' + b"1h" * (n // 2) + b'"}',
    "JSON upstreams": lambda n: b'{"time":1,"upstream_response_time":"' + b"1, " * (n // 3) + b'"}',
    "JSON request": lambda n: b'{"time":1,"request":"' + b"GET HTTP/1.1 " * (n // 13) + b'"}',
    "keys": lambda n: b"time=1" + b" a" * (n // 2),
    "equals signs": lambda n: b"time=1 a" + b"=" * n,
    "quotes of keys": lambda n: b'time=1 a="' + b'\\\\"' * (n // 2),
    "pairs": lambda n: b'a="b" ' * (n // 6) + b"=",
    "spaces between keys": lambda n: b"time=1" + b" " * n + b"=",
    "tag": lambda n: b"Nov 24 12:00:00 h " + b"a[" * (n // 2),
    "colons of a tag": lambda n: b"Nov 24 12:00:00 h " + b": " * (n // 2),
    "structured data": lambda n: b'<1>1 2026-11-24T12:00:00Z - - - - [a b="' + b'\\\\"' * (n // 2),
    "parameters": lambda n: b"<1>1 2026-11-24T12:00:00Z - - - - [a" + b' b=""' * (n // 5) + b" ",
    "elements": lambda n: b"<1>1 2026-11-24T12:00:00Z - - - - " + b"[a]" * (n // 3) + b"x",
    "sshd user": lambda n: SSHD + b"Failed password for " + b" from 1.2.3.4 port 1" * (n // 20) + b" x",
    "sshd invalid": lambda n: SSHD + b"Invalid user " + b" from a port 1" * (n // 14) + b" x",
    "sshd spaces": lambda n: SSHD + b"Connection closed by invalid user " + b" " * n,
    "sshd ports": lambda n: SSHD + b"Disconnected from user " + b"a port 1 " * (n // 9) + b"x",
    "sshd hosts": lambda n: SSHD + b"pam_unix(sshd:auth): authentication failure; " + b" rhost=a" * (n // 8),
    "sshd host": lambda n: SSHD + b"pam_unix(sshd:auth): authentication failure;  rhost=a" + b" " * n,
    "thread": lambda n: b"2026-11-24 12:00:00 [" + b" " * n,
    "threads": lambda n: b"2026-11-24 12:00:00 " + b"[a] " * (n // 4),
    "logger": lambda n: b"2026-11-24 12:00:00 INFO " + b"a" * n,
    "spaces of a level": lambda n: b"2026-11-24 12:00:00" + b" " * n + b"INFO",
    "spring": lambda n: b"2026-11-24 12:00:00 INFO 1 --- [a] b" + b" " * n,
}
#: Parts of the formats' own examples, from which lines of any length are made: a head, and what repeats.
HEADS = [
    (format_, format_.example[:end], piece)
    for format_ in PATTERNS
    for end in range(1, len(format_.example), max(1, len(format_.example) // 6))
    for piece in (b" ", b'"', b'\\"', b"1", b"a:", b", client: ", b'" "', b"0.1 ", b"/1", b"{", b"[1] ")
]
#: A line each, repeated over a block in which the quick reading might run on to the end from every one.
BLOCKS = {
    "no space": b"a" * 250 + b"\n",
    "no bracket": b"a b c " * 40 + b"\n",
    "no second quote": HEAD + b'"' + b"x" * 200 + b"\n",
    "day that is not there": COMBINED_LINE.replace(b"17/May", b"31/Feb") + b"\n",
    "empty": b"\n",
}


def read(format_: LogFormat, block: bytes) -> None:
    """Read a block, and explain what is rejected, as the first block of a source: nothing is known of it."""
    rest: RestReader[Any] = RestReader(typed, FORMATS.values)
    rest.read(format_, parser_of(format_, typed).parse(block).rejected, mixed=False)


def steep(short: bytes, long: bytes) -> list[str]:
    """Return the formats of which a block TIMES_LONGER takes far more than that many times as long.

    Each is judged by itself: in a sum, the time of the others would hide it.
    """
    return [
        name
        for name, format_ in FORMATS.items()
        if not grows_in_line(partial(read, format_, short), partial(read, format_, long))
    ]


@pytest.mark.parametrize("make_line", LINES.values(), ids=LINES.keys())
def test_time_grows_with_the_line(make_line: Callable[[int], bytes]) -> None:
    """A line of sixteen times the length takes about sixteen times as long, whatever it is made of."""
    short, long = (make_line(size) + b"\n" for size in (LONG_BYTES // TIMES_LONGER, LONG_BYTES))

    assert steep(short, long) == []


def test_no_line_takes_long() -> None:
    """Each format reads or explains in a blink what begins like a line of it and goes on in one way."""
    rest: RestReader[Any] = RestReader(typed, FORMATS.values)
    parsers = {format_: BlockParser(format_, typed) for format_ in PATTERNS}
    for format_, head, piece in HEADS:
        line = head + piece * ((8 << 10) // len(piece))

        def explain(format_: Format = format_, line: bytes = line) -> None:
            rest.read(format_, parsers[format_].parse(line + b"\n").rejected, mixed=False)

        assert least_seconds(explain, BLINK_SECONDS) < BLINK_SECONDS, (format_.name, head, piece)


@pytest.mark.parametrize("line", BLOCKS.values(), ids=BLOCKS.keys())
def test_time_grows_with_the_block(line: bytes) -> None:
    """Sixteen times the lines take about sixteen times as long, also where not one of them fits."""
    assert steep(*(line * count for count in (LONG_LINES // TIMES_LONGER, LONG_LINES))) == []


@pytest.mark.parametrize("line", [LINES["escaped quotes, closed"](1 << 20), LINES["brackets"](1 << 20)])
def test_memory_stays_near_the_size_of_the_line(line: bytes) -> None:
    """A line of a mebibyte takes a few times its size, not a hundred times."""
    parser = BlockParser(get_format("combined"), typed)
    tracemalloc.start()
    try:
        parser.parse(line)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 16 << 20


@pytest.mark.parametrize("name", FRAGMENTS)
def test_no_pattern_uses_what_an_older_python_gets_wrong(name: str) -> None:
    """Python 3.11.2 finds no match where a group repeats possessively: no reading may hold such a thing."""
    fragment = FRAGMENTS[name]

    for reading in (fragment.quick, fragment.strict, fragment.exact):
        assert not re.search(r"[*+?}]\+|\(\?>", reading)


def test_a_line_that_is_too_long_is_rejected_by_name() -> None:
    """A line beyond the limit costs nothing, and its reason says so."""
    parser = BlockParser(get_format("combined"), typed)
    (rejected,) = parser.parse(HEAD + b'"' + b'\\"' * LONGEST_LINE_BYTES + END + b"\n").rejected

    assert rejected.reason == f"longer than {LONGEST_LINE_BYTES} bytes"
