"""Formats of lines: their parser, lines that continue others, and the limits."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.columns import json_text
from pipeline.errors import RejectedLine
from pipeline.formats import FORMATS, detect, get_format
from pipeline.formats.base import COLUMNS, LONGEST_LINE_BYTES, ColumnType
from pipeline.formats.line import CONTINUES_BEFORE, LineFormat, parser_of
from tests.unit.formats.lines import BLOCKS, parse, records, rejection, typed

READERS = [each for each in FORMATS.values() if isinstance(each, LineFormat)]
APPLICATION = get_format("application")
HEAD = b"2026-11-24 12:00:00,123 ERROR com.example.Shop - failed\n"
TRACE = b"java.io.IOException: gone\n\tat a.b.C.d(C.java:1)\n\t... 12 more\n"
#: What lines of these formats are made of, and what breaks them.
PIECES = (
    *(each.example for each in READERS),
    *(b"\n", b" ", b"{", b"}", b"[", b"]", b'"', b"\\", b"=", b":", b",", b"\0", b"\xff", b"\r\n", b"<34>1 "),
    *(b'{"time":1,', b'"a":', b"1e999", b"NaN", b'"\\ud800"', b'"\\u0000"', b"time=1 ", b'msg="', b"Nov 24 "),
    *(b"12:00:00 ", b"web-1 ", b"sshd[1]: ", b"Failed password for ", b" from 1.2.3.4 port 1", HEAD, TRACE),
)
MIXED = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
#: Python's type for each type of column.
TYPES = {
    ColumnType.TEXT: str,
    ColumnType.SMALLINT: int,
    ColumnType.INTEGER: int,
    ColumnType.BIGINT: int,
    ColumnType.BOOLEAN: bool,
    ColumnType.DOUBLE: float,
    ColumnType.TIMESTAMP: datetime,
    ColumnType.INET: str,
    ColumnType.JSON: dict,
}


@given(st.sampled_from(READERS), MIXED | BLOCKS)
def test_every_line_is_accepted_or_rejected(format_: LineFormat, block: bytes) -> None:
    """Whatever the bytes, each line is one record or one rejected line, with its start and a reason."""
    parsed = parse(format_, block)

    lines = block.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    starts = [sum(len(line) + 1 for line in lines[:index]) for index in range(len(lines))]
    assert starts == sorted([*parsed.starts, *(rejected.start for rejected in parsed.rejected)])
    assert all(block[each.start :].startswith(each.line) and each.reason for each in parsed.rejected)
    assert all(len(parsed.starts) == len(group) for group in parsed.groups)


@given(st.sampled_from(READERS), MIXED)
def test_every_value_fits_its_column(format_: LineFormat, block: bytes) -> None:
    """Each value has the type of its column, a timestamp is always there, and no database refuses a text."""
    for row in records(parse(format_, block)):
        del row["start"]
        assert tuple(row) == format_.columns
        assert row["timestamp"].tzinfo is UTC
        for column, value in row.items():
            assert value is None or type(value) is TYPES[COLUMNS[column]]
            json_text(value if column != "timestamp" else None).encode()
            assert "\0" not in str(value)


@pytest.mark.parametrize("format_", READERS, ids=lambda format_: format_.name)
def test_a_line_beyond_the_limit_is_rejected(format_: LineFormat) -> None:
    """A line that is too long is not read, and one of the longest is."""
    room = LONGEST_LINE_BYTES - len(format_.example)
    longest = format_.example + b" " * room

    assert rejection(format_, longest + b" ") == (
        f"longer than {LONGEST_LINE_BYTES} bytes",
        LONGEST_LINE_BYTES,
    )
    assert not parse(format_, longest + b"\r\n").rejected


def test_a_trace_continues_its_record() -> None:
    """Each line of a trace is a record of its own with the time of its head, and says where that starts."""
    parsed = parser_of(APPLICATION, typed).parse(HEAD + TRACE + HEAD + TRACE, start=1000)

    rows = records(parsed)
    second = 1000 + len(HEAD + TRACE)
    assert [row["continues"] for row in rows] == [None, 1000, 1000, 1000, None, second, second, second]
    assert {row["timestamp"] for row in rows} == {datetime(2026, 11, 24, 12, 0, 0, 123000, UTC)}
    assert [row["level"] for row in rows] == ["ERROR", None, None, None] * 2
    assert b"\n".join(row["message"].encode() for row in rows[1:4]) + b"\n" == TRACE
    assert parsed.line_count == 8


def test_a_block_that_begins_with_a_trace_has_no_head_for_it() -> None:
    """Lines that continue what another batch holds are rejected by name; the records behind them are not."""
    parsed = parse(APPLICATION, TRACE + HEAD)

    assert [line.reason for line in parsed.rejected] == [CONTINUES_BEFORE] * 3
    assert [len(TRACE)] == parsed.starts


def test_a_parser_keeps_no_head_for_the_next_block() -> None:
    """Blocks may be of different sources: what continues is looked for in the same block only."""
    parser = parser_of(APPLICATION, typed)
    parser.parse(HEAD)

    assert len(parser.parse(TRACE).rejected) == 3


def test_a_log_with_traces_is_recognised() -> None:
    """The lines of traces, of which there may be more than records, do not hide the format."""
    python = b'Traceback (most recent call last):\n  File "/srv/shop.py", line 42, in order\nKeyError: 1\n'

    assert detect((HEAD + b"\tat a.b.C.d(C.java:1)\n" * 30) * 5) is APPLICATION
    assert detect((HEAD * 3 + python) * 5) is APPLICATION


def test_lines_of_sshd_among_others_are_syslog() -> None:
    """A file of which sshd writes most is openssh, one of which other programs write most is syslog."""
    openssh, syslog = get_format("openssh"), get_format("syslog")

    assert detect((openssh.example + b"\n") * 20) is openssh
    assert detect((openssh.example + b"\n") * 20 + (syslog.example + b"\n") * 21) is syslog


def test_a_value_that_the_database_refuses_rejects_its_line() -> None:
    """A value that the encoder refuses is a rejected line, not a failed block."""

    def refusing(columns: tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
        if "'7'" in str(values):
            raise RejectedLine("refused")
        return typed(columns, values)

    block = b"time=1 a=1\ntime=1 a=7\ntime=1 a=2\n"
    parsed = parser_of(get_format("logfmt"), refusing).parse(block)

    assert (parsed.starts, [line.reason for line in parsed.rejected]) == ([0, 22], ["refused"])


def test_the_year_follows_the_time_of_storing() -> None:
    """A replay reads a time without a year as the first storing did, given that moment."""
    parser = parser_of(get_format("syslog"), typed)
    line = b"Dec 31 23:59:59 web-1 a: b\n"

    years = [
        records(parser.parse(line, 0, at))[0]["timestamp"].year
        for at in (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))
    ]

    assert years == [2025, 2026]


@pytest.mark.parametrize("format_", READERS, ids=lambda format_: format_.name)
def test_why_and_where(format_: LineFormat) -> None:
    """A line that is rejected says why, as `explain` does for it alone."""
    for line in (b"", b"noise", b"\xff", format_.example[:4]):
        error = format_.explain(line)
        assert format_.match(line) is None
        assert (error.reason, error.position) == rejection(format_, line) or format_ is APPLICATION
