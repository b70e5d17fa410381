"""Lines of the built-in formats, whole and broken, for the tests of pipeline.formats."""

from typing import Any

from hypothesis import strategies as st

from pipeline.errors import RejectedLine
from pipeline.formats import FORMATS
from pipeline.formats.base import Format
from pipeline.formats.line import LogFormat, parser_of
from pipeline.formats.parse import ParsedBlock

HEAD = b"203.0.113.9 - - [17/May/2015:10:05:03 +0000] "
COMMON_LINE = HEAD + b'"GET /a?b=1 HTTP/1.1" 200 1386'
COMBINED_LINE = COMMON_LINE + b' "https://example.org/" "Mozilla/5.0 (X11)"'
PROXY_LINE = (
    b"203.0.113.9 YWN6Z2YRMwbb1KF jane.doe@example.org [01/Mar/2023:00:00:09 -0500] "
    b'"GET https://app.example.com:443/a?x=1 HTTP/1.1" 200 1386 -'
)
#: The formats that are one pattern.
PATTERNS = [each for each in FORMATS.values() if isinstance(each, Format)]
#: What lines are made of, and what breaks them.
PIECES = (
    *(
        b" ",
        b'"',
        b"\\",
        b'\\"',
        b"[",
        b"]",
        b" [",
        b"-",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"\xff\xfe",
        b"",
        b" -\n",
    ),
    *(b"17/", b" [17/x] ", b'" "', b'" 200 ', b'" 200 1 -', b" 200 99999999999999999999", b"GET / HTTP/1.1"),
    *(b"a" * 300, b"b" * 5000, HEAD, COMMON_LINE, COMBINED_LINE, PROXY_LINE, COMBINED_LINE + b"\n"),
    HEAD.replace(b"17/May", b"31/Feb") + COMBINED_LINE[len(HEAD) :],
    COMBINED_LINE.replace(b"Mozilla", rb"Mo\"zi\\lla"),
    PROXY_LINE.replace(b"/a?", b'/"{a}" 200 1?'),
)

#: Blocks in which whole lines, odd lines and broken lines stand next to each other.
BLOCKS = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)), max_size=40).map(b"".join)


def typed(columns: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    """Encode a group as a mapping of its columns, the plainest of encodings."""
    return dict(zip(columns, values, strict=True))


def parse(format_: LogFormat, block: bytes) -> ParsedBlock[dict[str, Any]]:
    """Return a block as a fresh parser reads it."""
    return parser_of(format_, typed).parse(block)


def records(parsed: ParsedBlock[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the accepted lines, each as one mapping of columns, with `start`."""
    rows = zip(parsed.starts, *parsed.groups, strict=True)
    return [
        {"start": start, **{k: v for group in groups for k, v in group.items()}} for start, *groups in rows
    ]


def record(format_: LogFormat, line: bytes) -> dict[str, Any]:
    """Return the columns of the one line of a block, which is accepted."""
    parsed = parse(format_, line + b"\n")
    assert not parsed.rejected, parsed.rejected
    (only,) = records(parsed)
    return only


def rejection(format_: LogFormat, line: bytes) -> tuple[str, int | None]:
    """Return reason and position of the one line of a block, which is rejected."""
    (only,) = parse(format_, line + b"\n").rejected
    return only.reason, only.position


def by_hand(format_: Format, line: bytes) -> dict[str, Any] | None:
    """Return the columns of a line by the exact pattern and nothing else, None for a rejected line."""
    match = format_.match(line)
    if match is None:
        return None
    try:
        values = [
            typed(group.columns, group.convert(match.group(*group.sources))) for group in format_.groups
        ]
    except RejectedLine:
        return None
    return {column: value for group in values for column, value in group.items()}
