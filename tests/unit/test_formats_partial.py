"""Partial records, and lines of other formats: what becomes of the lines that a format rejects."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RejectedLine
from pipeline.formats import FORMATS, get_format
from pipeline.formats.base import HEADER_REASON, LONGEST_LINE_BYTES, Format, Group
from pipeline.formats.fields import common_time, size, text
from pipeline.formats.parse import Rejected
from pipeline.formats.rest import Rest, RestReader
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
    typed,
)

COMBINED, COMMON = get_format("combined"), get_format("common")
Row = dict[str, Any]
CUTTABLE = [format_ for format_ in PATTERNS if format_.essential]
ANY_FORMAT = st.sampled_from(PATTERNS)


def read(format_: Format, block: bytes, *, mixed: bool = False) -> Rest[Row]:
    """Return the rest of a block, by a fresh reader."""
    reader: RestReader[Row] = RestReader(typed, FORMATS.values)
    return reader.read(format_, parse(format_, block).rejected, mixed=mixed)


def partial(format_: Format, line: bytes) -> Row | None:
    """Return the partial record of a line that the format rejects, None where it stays rejected."""
    rest = read(format_, line + b"\n")
    if rest.rejected:
        return None
    ((columns,),) = (records(found.lines) for found in rest.recovered)
    del columns["start"]
    return columns


def partial_by_hand(format_: Format, line: bytes) -> Row | None:
    """Return the record of a line whose pattern fits but not every value, by the exact pattern alone."""
    match = format_.match(line)
    if match is None:
        return None
    row: Row = {}
    failed = []
    for group in format_.groups:
        try:
            row |= typed(group.columns, group.convert(match.group(*group.sources)))
        except RejectedLine:
            row |= dict.fromkeys(group.columns)
            failed.append(group.name)
    return row | {"failed_fields": ",".join(failed)} if row["timestamp"] else None


@pytest.mark.parametrize(
    ("line", "failed", "kept"),
    [
        (
            COMBINED_LINE.replace(b"1386", b"9" * 20),
            "size",
            {"status": 200, "user_agent": "Mozilla/5.0 (X11)"},
        ),
        (COMBINED_LINE[:-1], "user_agent", {"size_bytes": 1386, "referer": "https://example.org/"}),
        (COMBINED_LINE[:-1] + b"\r", "user_agent", {"referer": "https://example.org/"}),
        (COMBINED_LINE[:-1] + rb"\"", "user_agent", {"referer": "https://example.org/"}),
        (COMMON_LINE + b' "-"', "user_agent", {"size_bytes": 1386, "referer": None}),
        (COMMON_LINE + b' "htt', "referer,user_agent", {"size_bytes": 1386}),
        (COMMON_LINE + b" ", "referer,user_agent", {"size_bytes": 1386}),
        # Whether digits that end the line were all of them is not known.
        (COMMON_LINE, "size,referer,user_agent", {"size_bytes": None, "status": 200}),
        (COMMON_LINE[:-5], "size,referer,user_agent", {"size_bytes": None, "status": 200}),
    ],
)
def test_what_can_be_read_is_kept(line: bytes, failed: str, kept: Row) -> None:
    """A line with a field that does not convert, or cut behind its status, is a record that names it."""
    columns = partial(COMBINED, line)

    assert columns is not None
    assert columns["failed_fields"] == failed
    assert {name: columns[name] for name in kept} == kept
    assert (columns["ip"], columns["path"]) == ("203.0.113.9", "/a")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"noise",
        HEAD + b'"GET /cut HTT',
        COMMON_LINE[:-6],
        COMBINED_LINE.replace(b"17/May", b"31/Feb"),
        COMBINED_LINE + b' "more"',
        COMBINED_LINE[:-1] + COMBINED_LINE,
        COMBINED_LINE[:-1] + b"\0" * LONGEST_LINE_BYTES,
    ],
)
def test_without_the_essential_head_a_line_stays_rejected(line: bytes) -> None:
    """A cut before the status, a time that is none, or more than a cut is no record; the bytes are kept."""
    (rejected,) = read(COMBINED, line + b"\n").rejected

    assert rejected.line == line


@pytest.mark.parametrize("format_", CUTTABLE, ids=lambda format_: format_.name)
def test_a_cut_line_says_nothing_wrong(format_: Format) -> None:
    """Wherever a line ends, its partial record has the columns of the whole line, or NULL and the name."""
    whole = record(format_, format_.example)
    columns_of = {group.name: group.columns for group in format_.groups}
    found = 0
    for end in range(len(format_.example)):
        # Of a line that ends in digits no one can tell that it was cut among them.
        cut = by_hand(format_, format_.example[:end]) is None
        columns = partial(format_, format_.example[:end]) if cut else None
        if columns is not None:
            found += 1
            failed = [name for group in columns.pop("failed_fields").split(",") for name in columns_of[group]]
            assert {name for name in columns if columns[name] is None} >= set(failed)
            assert {k: v for k, v in columns.items() if k not in failed} == {
                k: v for k, v in whole.items() if k not in failed and k != "start"
            }
    assert found > 1


@given(ANY_FORMAT, BLOCKS)
def test_a_block_reads_as_its_lines_in_part_too(format_: Format, block: bytes) -> None:
    """A line whose pattern fits is what its groups give one by one, a whole record or a partial one."""
    rest = read(format_, block)
    rows = {row.pop("start"): row for found in rest.recovered for row in records(found.lines)}

    for rejected in parse(format_, block).rejected:
        expected = partial_by_hand(format_, rejected.line)
        if expected is not None:
            assert by_hand(format_, rejected.line) is None
            assert rows[rejected.start] == expected


@given(ANY_FORMAT, BLOCKS, st.booleans())
def test_no_rejected_line_is_lost_or_doubled(format_: Format, block: bytes, mixed: bool) -> None:
    """Each line that a format rejects is recovered once or stays rejected as it was."""
    before = parse(format_, block).rejected

    rest = read(format_, block, mixed=mixed)

    starts = [start for found in rest.recovered for start in found.lines.starts]
    assert sorted([*starts, *(line.start for line in rest.rejected)]) == [line.start for line in before]
    assert [line for line in before if line.start not in starts] == rest.rejected
    for found in rest.recovered:
        assert all(len(column) == len(found.lines.starts) for column in found.lines.groups)
        names = [name for group in found.lines.groups for name in group[0]]
        assert list(found.columns) == names


def test_another_format_comes_before_a_partial_record() -> None:
    """In a mixed source a line that another format reads whole is that one's, and no partial record."""
    block = b"\n".join((COMBINED_LINE, COMMON_LINE, PROXY_LINE, COMBINED_LINE[:-1], b"noise"))

    rest = read(COMBINED, block, mixed=True)

    found = {each.format.name: records(each.lines) for each in rest.recovered}
    assert list(found) == ["common", "proxy", "combined"]
    assert found["common"] == [record(COMMON, COMMON_LINE) | {"start": len(COMBINED_LINE) + 1}]
    assert [row["failed_fields"] for row in found["combined"]] == ["user_agent"]
    assert [line.line for line in rest.rejected] == [b"noise"]


def test_lines_of_another_format_need_a_mixed_source() -> None:
    """Where the format was set, a line of another one is its own partial record or stays rejected."""
    rest = read(COMBINED, b"\n".join((COMMON_LINE, PROXY_LINE)))

    assert [each.format.name for each in rest.recovered] == ["combined"]
    assert [line.line for line in rest.rejected] == [PROXY_LINE]


def test_header_lines_are_of_no_other_format() -> None:
    """A header line keeps its reason, whatever other formats would make of it."""
    w3c = get_format("w3c")
    reader: RestReader[Row] = RestReader(typed, lambda: [careless])
    careless = Format(
        "careless",
        1,
        r"(?P<time>.{26})(?P<a>.*)",
        (Group("time", ("timestamp", "utc_offset_minutes"), common_time), Group("a", ("path",), text)),
    )
    line = b"#17/May/2015:10:05:03 +0000x"

    rest = reader.read(w3c, parse(w3c, line).rejected, mixed=True)

    assert rest.rejected == [Rejected(0, line, HEADER_REASON, 0)]


def test_fields_that_change_within_a_block_are_followed() -> None:
    """After another Fields line, lines of a recognised W3C source are read as that one says."""
    w3c = get_format("w3c")
    block = w3c.example + b"\n#Fields: date time c-ip sc-status\n2015-05-17 10:05:04 203.0.113.9 304\n"

    (found,) = read(w3c, block, mixed=True).recovered

    assert found.format.name == "w3c:date,time,c-ip,sc-status"
    assert [row["status"] for row in records(found.lines)] == [304]


def test_a_group_with_the_time_is_never_missing() -> None:
    """Where one group holds the time and more, its failure rejects the line."""

    def both(field: bytes) -> tuple[Any, ...]:
        return (*common_time(field[:26]), *size(field[26:]))

    columns = ("timestamp", "utc_offset_minutes", "size_bytes")
    format_ = Format("mine", 1, r"(?P<both>.{26}\d+)", (Group("both", columns, both),))

    assert partial(format_, b"17/May/2015:10:05:03 +0000" + b"9" * 30) is None
