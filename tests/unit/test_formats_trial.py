"""A format tried on lines: coverage, first records, and kinds of rejected lines."""

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given

from pipeline.errors import RejectedLine
from pipeline.formats import FORMATS, detect, get_format
from pipeline.formats.base import LONGEST_LINE_BYTES, Format, Group
from pipeline.formats.fields import common_time, text
from pipeline.formats.trial import BLOCK_BYTES, MOST_KINDS, OTHER, Trial, read_blocks, signature, try_format
from tests.unit.formats.lines import BLOCKS, COMBINED_LINE, COMMON_LINE, parse, records

COMBINED, COMMON = get_format("combined"), get_format("common")
BAD_DAY = COMMON_LINE.replace(b"17/May", b"31/Feb")


def tried(format_: Format, source: bytes, *, limit: int = 10_000, first: int = 3) -> Trial:
    """Return what a format makes of the first lines of a stream with these bytes."""
    return try_format(format_, read_blocks(io.BytesIO(source), limit), first)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda format_: format_.name)
def test_every_example_is_of_its_format(format_: Format) -> None:
    """Each built-in format says what it is, and its example is recognised as its own."""
    assert format_.description
    assert detect(format_.example) is format_
    assert tried(format_, format_.example).records == 1


def test_the_first_records_are_typed() -> None:
    """The first records come with their line numbers and typed values, past rejected lines."""
    trial = tried(COMMON, b"noise\n" + COMMON_LINE + b"\n\n" + COMMON_LINE + b"\n" + COMMON_LINE, first=2)

    assert [record.line_number for record in trial.first] == [2, 4]
    assert list(trial.first[0].values) == list(COMMON.columns)
    assert trial.first[0].values["timestamp"] == datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)
    assert (trial.first[1].values["status"], trial.first[1].values["port"]) == (200, None)
    assert (trial.lines, trial.records, trial.rejected) == (5, 3, 2)


def test_rejected_lines_are_grouped_by_kind() -> None:
    """Lines with one reason but for bytes and values are one kind, shown by the first of them."""
    lines = (COMMON_LINE, b"noise", b"more noise", BAD_DAY, BAD_DAY.replace(b"31/", b"30/"), b"noise!")

    trial = tried(COMMON, b"\n".join(lines))

    assert [(kind.signature, kind.count, kind.line_number) for kind in trial.by_count()] == [
        ('expected "client"', 3, 2),
        ("time … does not exist: day is out of range for month", 2, 4),
    ]
    example = trial.by_count()[1].example
    assert example.line == BAD_DAY
    assert example.position == BAD_DAY.index(b"31/Feb")
    assert "31/Feb" in example.reason


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ('expected "time" at byte 34', 'expected "time"'),
        ("expected the end of the line at byte 1", "expected the end of the line"),
        ("size '999' is over 9", "size … is over 9"),
        (r"time 'a\'b at byte 3'… is not", "time … is not"),
        ('time "it\'s"… is not', "time … is not"),
        ("longer than 65536 bytes", "longer than 65536 bytes"),
    ],
)
def test_a_signature_has_no_position_and_no_value(reason: str, expected: str) -> None:
    """What differs between lines of a kind is left out; the names of groups stay."""
    assert signature(reason) == expected


def test_kinds_are_bounded() -> None:
    """A format with a new reason for each line has so many kinds at most, and the rest counted together."""

    def never(field: bytes) -> tuple[datetime]:
        raise RejectedLine(f"no {field.decode()}")

    groups = (Group("time", ("timestamp",), never), Group("a", ("path",), text))
    format_ = Format("mine", 1, r"(?P<a>.*) (?P<time>{word})", groups)
    lines = b"".join(b"17/May/2015:10:05:03 +0000] v%d\n" % number for number in range(MOST_KINDS + 9))

    trial = tried(format_, lines)

    assert len(trial.kinds) == MOST_KINDS + 1
    assert (trial.kinds[OTHER].count, trial.rejected) == (9, MOST_KINDS + 9)


def test_a_format_without_words_is_a_format() -> None:
    """Description and example are not needed to make a format."""
    group = Group("time", ("timestamp", "utc_offset_minutes"), common_time)

    format_ = Format("mine", 1, r"(?P<time>{time})", (group,))
    assert tried(format_, b"17/May/2015:10:05:03 +0000").records == 1


def test_a_long_line_is_one_rejected_line() -> None:
    """Of a line longer than parses only the head is kept, it counts once, and the next line is read whole."""
    long = b"a" * (3 * BLOCK_BYTES)

    trial = tried(COMMON, COMMON_LINE + b"\n" + long + b"\n" + COMMON_LINE + b"\n" + long)

    assert (trial.lines, trial.records) == (4, 2)
    (kind,) = trial.kinds.values()
    assert (kind.line_number, kind.count, kind.example.position) == (2, 2, LONGEST_LINE_BYTES)
    assert len(kind.example.line) < LONGEST_LINE_BYTES + 9


@pytest.mark.parametrize("beyond", [-1, 0, 1, 2])
def test_the_longest_line_is_read_whole(beyond: int) -> None:
    """A line as long as parses is parsed, and one byte more is rejected, newline or not."""
    line = COMMON_LINE.replace(b"/a", b"/" + b"a" * (LONGEST_LINE_BYTES + 1 + beyond - len(COMMON_LINE)))
    assert len(line) == LONGEST_LINE_BYTES + beyond

    for source in (line, line + b"\n", line + b"\n" + COMMON_LINE):
        trial = tried(COMMON, source)
        assert trial.rejected == (beyond > 0)
        assert trial.lines == 1 + source.endswith(b"\n" + COMMON_LINE)


def test_lines_are_limited() -> None:
    """No more lines than asked for are read, across blocks too, and a stream is not read to its end."""
    stream = io.BytesIO((COMBINED_LINE + b"\n") * 20_000)

    trial = try_format(COMBINED, read_blocks(stream, 12_345), 0)

    assert (trial.lines, trial.records, trial.first) == (12_345, 12_345, [])
    assert stream.tell() == 12_345 * len(COMBINED_LINE + b"\n") > BLOCK_BYTES


def test_line_numbers_go_on_across_blocks() -> None:
    """The number of a line counts from the start of the file, whatever block it is in."""
    trial = tried(COMBINED, (COMBINED_LINE + b"\n") * 12_000 + b"noise\n", limit=99_999)
    late = try_format(COMMON, [b"noise\n", COMMON_LINE + b"\n", (COMMON_LINE + b"\n") * 9], 3)

    assert [kind.line_number for kind in trial.kinds.values()] == [12_001]
    assert [record.line_number for record in late.first] == [2, 3, 4]


@pytest.mark.parametrize("source", [b"", b"\n", b"\n\n", b"\0", b"\xff\n", b"\x1b[2J\n"])
def test_lines_of_nothing_are_rejected(source: bytes) -> None:
    """Empty lines, NUL, invalid UTF-8 and escapes are counted; no line at all is nothing rejected."""
    trial = tried(COMMON, source)

    assert trial.lines == trial.rejected == len(source.splitlines())
    assert trial.percent == (0 if source else 100)


def test_one_line_in_many_keeps_the_share_from_a_hundred() -> None:
    """The percentage is rounded down, so that a hundred means every line."""
    assert tried(COMMON, (COMMON_LINE + b"\n") * 99_999 + b"x", limit=100_000).percent == 99.99


@given(BLOCKS)
def test_a_trial_agrees_with_the_parser(block: bytes) -> None:
    """Whatever the lines are, a trial counts and types them as storing does."""
    for format_ in FORMATS.values():
        parsed = parse(format_, block)
        trial = tried(format_, block, first=99)

        assert (trial.lines, trial.records - sum(trial.partial.values())) == (
            parsed.line_count,
            len(parsed.starts),
        )
        assert sum(kind.count for kind in trial.kinds.values()) == trial.rejected
        expected = [{key: row[key] for key in row if key != "start"} for row in records(parsed)]
        assert [record.values for record in trial.first] == expected[:99]


def test_partial_records_are_told_by_what_failed() -> None:
    """A record without a field counts as one, under the names of the fields that failed."""
    big, cut = COMBINED_LINE.replace(b"1386", b"9" * 30), COMBINED_LINE[:-1]

    trial = tried(COMBINED, b"\n".join((COMBINED_LINE, big, cut, cut, b"noise")))

    assert (trial.records, trial.rejected) == (4, 1)
    assert trial.partial == {"size": 1, "user_agent": 2}


def test_lines_of_other_formats_count_where_the_source_is_mixed() -> None:
    """In a mixed trial a line that another format reads whole is a record of that one."""
    lines = b"\n".join((COMBINED_LINE, COMMON_LINE, b"noise"))

    mixed = try_format(COMBINED, [lines], 3, mixed=True)

    assert (mixed.records, mixed.others, mixed.partial) == (2, {"common": 1}, {})
    assert tried(COMBINED, lines).partial == {"size,referer,user_agent": 1}


def test_header_lines_are_no_errors() -> None:
    """Header lines of a format that has them are neither records nor rejected, and cost no share."""
    format_ = get_format("w3c")

    trial = tried(format_, b"#Software: x\n#Fields: date time\n" + format_.example + b"\n#\n")

    assert (trial.lines, trial.headers, trial.records, trial.rejected) == (4, 3, 1, 0)
    assert (trial.percent, trial.kinds) == (100, {})
