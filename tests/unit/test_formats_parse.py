"""The parser of blocks: its quick path against the exact one, counts, order and reasons."""

import gc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.formats import get_format
from pipeline.formats.base import Format
from pipeline.formats.parse import BlockParser
from tests.unit.formats.lines import (
    BLOCKS,
    COMBINED_LINE,
    COMMON_LINE,
    HEAD,
    PATTERNS,
    PROXY_LINE,
    by_hand,
    parse,
    record,
    records,
    rejection,
    typed,
)

COMBINED = get_format("combined")
ANY_FORMAT = st.sampled_from(PATTERNS)


def lines_of(block: bytes) -> list[bytes]:
    """Return the lines of a block without their newlines."""
    lines = block.split(b"\n")
    return lines if lines[-1] else lines[:-1]


@given(ANY_FORMAT, BLOCKS)
@example(COMBINED, b"1.2.3.4\n" + COMBINED_LINE + b"\n")
@example(COMBINED, HEAD + b'"GET /cut\n' + HEAD + b'" 200 1 "-" "-"\n')
@example(COMBINED, COMBINED_LINE)
def test_block_reads_as_its_lines_by_the_exact_pattern(format_: Format, block: bytes) -> None:
    """Whatever the bytes, the block gives what each line gives alone, in the order of the file."""
    expected, start = [], 0
    for line in lines_of(block):
        columns = by_hand(format_, line)
        expected += [] if columns is None else [{"start": start, **columns}]
        start += len(line) + 1

    assert expected == records(parse(format_, block))


@given(ANY_FORMAT, st.one_of(BLOCKS, st.binary(max_size=300)))
def test_every_line_is_accepted_or_rejected(format_: Format, block: bytes) -> None:
    """Accepted and rejected starts together are the starts of all lines; a rejected line is kept whole."""
    parsed = parse(format_, block)

    lines = lines_of(block)
    starts = [sum(len(line) + 1 for line in lines[:index]) for index in range(len(lines))]
    assert starts == sorted([*parsed.starts, *(rejected.start for rejected in parsed.rejected)])
    assert len(lines) == parsed.line_count
    assert all(block[r.start :].startswith(r.line) and b"\n" not in r.line for r in parsed.rejected)


@given(BLOCKS)
def test_quick_and_strict_readings_take_no_more_than_the_exact_one(block: bytes) -> None:
    """A line that the quick or the strict reading takes has the same captures in the exact one."""
    for format_ in PATTERNS:
        for reading in ("quick", "strict"):
            pattern = format_.block_pattern(reading)
            for line in lines_of(block):
                (*fields, rest), *more = pattern.findall(line + b"\n")
                exact = format_.match(line)
                assert not more
                assert rest or (exact is not None and tuple(fields) == exact.groups())


@given(st.lists(BLOCKS, max_size=4))
def test_parser_remembers_nothing_wrong(blocks: list[bytes]) -> None:
    """A parser that has seen other blocks gives what a fresh one gives."""
    parser = BlockParser(COMBINED, typed)

    for block in blocks:
        assert parse(COMBINED, block) == parser.parse(block)


def test_empty_block_has_no_lines() -> None:
    """No bytes, no lines, and a list for each group all the same."""
    parsed = parse(COMBINED, b"")

    assert (parsed.line_count, parsed.starts, parsed.rejected) == (0, [], [])
    assert [[] for _ in COMBINED.groups] == parsed.groups


def test_odd_lines_stay_in_their_places() -> None:
    """Lines that only the exact pattern takes stand between their neighbours, rejected ones leave no hole."""
    odd = COMBINED_LINE.replace(b"Mozilla", rb"\"odd\"")
    block = b"\n".join([odd, COMBINED_LINE, b"broken", odd, odd, COMBINED_LINE, b"", odd])

    parsed = parse(COMBINED, block)

    starts = [0, len(odd) + 1]
    assert starts == parsed.starts[:2]
    agents = [columns["user_agent"].startswith(r"\"odd\"") for columns in records(parsed)]
    assert agents == [True, False, True, True, False, True]
    assert [rejected.line for rejected in parsed.rejected] == [b"broken", b""]


@pytest.mark.parametrize(
    ("line", "reason", "position"),
    [
        (b"", "empty line", 0),
        (b"nonsense", 'expected "client" at byte 0', 0),
        (b"1.2.3.4 - - no time", 'expected "time" at byte 19', 19),
        (HEAD, 'expected "request" at byte 44', 44),
        (COMMON_LINE.replace(b" 200 ", b" 20000 "), 'expected "status" at byte 66', 66),
        (COMMON_LINE, 'expected "referer" at byte 75', 75),
        (COMBINED_LINE[:-1], 'expected "user_agent" at byte 98', 98),
        (COMBINED_LINE + b' "more"', "expected the end of the line at byte 118", 118),
        (
            COMBINED_LINE.replace(b"17/May", b"31/Feb"),
            "time '31/Feb/2015:10:05:03 +0000' does not exist: day is out of range for month",
            17,
        ),
        (
            COMBINED_LINE.replace(b"1386", b"99999999999999999999"),
            "size '99999999999999999999' is over 9223372036854775807",
            71,
        ),
    ],
)
def test_rejected_line_says_why_and_where(line: bytes, reason: str, position: int) -> None:
    """The reason names what was expected, and the position is where the fitting part ends."""
    assert (reason, position) == rejection(COMBINED, line)


def test_newline_inside_a_field_joins_no_lines() -> None:
    """A cut line and the next one, which together look like one line, stay two."""
    cut = HEAD + b'"GET /cut'

    parsed = parse(COMBINED, cut + b"\n" + HEAD + b'" 200 1 "-" "-"\n' + COMBINED_LINE + b"\n")

    assert parsed.line_count == 3
    assert [cut] == [rejected.line for rejected in parsed.rejected if rejected.start == 0]


def test_carriage_return_before_the_newline_belongs_to_no_field() -> None:
    """A log with CRLF reads like one with LF, in both paths."""
    odd = COMBINED_LINE.replace(b"Mozilla", rb"\"odd\"")

    for line in (COMBINED_LINE, odd):
        assert record(COMBINED, line) == record(COMBINED, line + b"\r")
    for format_ in PATTERNS:
        assert record(format_, format_.example) == record(format_, format_.example + b"\r")
    assert parse(get_format("proxy"), PROXY_LINE + b"x\r\n").rejected[0].line == PROXY_LINE + b"x\r"


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\v", "\f", "\x1c", "\r"])
def test_only_a_newline_ends_a_line(separator: str) -> None:
    """What other readers take for the end of a line is a character of its field."""
    line = COMBINED_LINE.replace(b"Mozilla", f"a{separator}b".encode())

    assert f"a{separator}b/5.0 (X11)" == record(COMBINED, line)["user_agent"]


def test_collector_runs_again_after_a_block() -> None:
    """Parsing leaves the cycle collector as it was, also when the encoder fails."""

    def failing(_columns: tuple[str, ...], _values: tuple[Any, ...]) -> str:
        raise LookupError

    with pytest.raises(LookupError):
        BlockParser(COMBINED, failing).parse(COMBINED_LINE)
    assert gc.isenabled()
