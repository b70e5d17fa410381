"""The compiled loops against the way of Python: the same lines give the same records and rows."""

from typing import Any, NoReturn

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import scanner
from pipeline.errors import RejectedLine
from pipeline.formats import coded, dictionary, get_format
from pipeline.formats.base import LONGEST_LINE_BYTES, Format
from pipeline.formats.coded import coded_parser
from pipeline.formats.parse import BlockParser, ParsedBlock
from tests.unit.formats.coded import PROGRAMS, as_bytes, distinct, parser_of, together
from tests.unit.formats.lines import BLOCKS, COMBINED_LINE, HEAD
from tests.unit.test_formats_conformance import corpus, line_of

COMBINED = get_format("combined")
pytestmark = pytest.mark.usefixtures("compiled")


def in_python(format_: Format, block: bytes) -> ParsedBlock[bytes]:
    """Return a block as the way of Python reads it; without records without groups."""
    parsed = BlockParser(format_, as_bytes).parse(block)
    return parsed if parsed.starts else ParsedBlock([], [], parsed.rejected)


@given(st.sampled_from(PROGRAMS), BLOCKS)
@example(COMBINED, b"1.2.3.4\n" + COMBINED_LINE + b"\n")
@example(COMBINED, HEAD + b'"GET /cut\n' + HEAD + b'" 200 1 "-" "-"\n')
@example(COMBINED, COMBINED_LINE + b"\r\r\n" + COMBINED_LINE + b"\r")
def test_a_block_reads_as_in_python(format_: Format, block: bytes) -> None:
    """Whatever the bytes, records, places and reasons are those of the way of Python."""
    assert in_python(format_, block) == together(parser_of(format_).pieces(block))


@pytest.mark.parametrize("format_", PROGRAMS, ids=lambda format_: format_.name)
def test_the_corpus_reads_as_in_python(format_: Format) -> None:
    """The lines of the conformance corpus and of the format's own example, each format by any program."""
    lines = [line_of(entry) for entries in corpus().values() for entry in entries] + [format_.example]
    block = b"".join(line + b"\n" for line in lines if len(line) <= LONGEST_LINE_BYTES)

    assert in_python(format_, block) == together(parser_of(format_).pieces(block))


@pytest.mark.parametrize("format_", PROGRAMS, ids=lambda format_: format_.name)
def test_usual_lines_need_no_exact_reading(format_: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program takes the format's example itself, with and without a CR."""
    monkeypatch.setattr(BlockParser, "parse_line", lambda *_: pytest.fail("read line by line"))

    (piece,) = parser_of(format_).pieces(format_.example + b"\n" + format_.example + b"\r\n")

    assert piece.record_count == 2


@pytest.mark.parametrize("longer", [0, 1])
def test_a_longest_line_is_taken_and_a_longer_one_rejected(longer: int) -> None:
    """As by the exact pattern, with and without the newline at the end, and between others, on both ways."""
    format_ = get_format("nginx_error")
    line = format_.example.ljust(LONGEST_LINE_BYTES + longer, b"x")

    for block in (line, line + b"\n"):
        (piece,) = parser_of(format_).pieces(block)
        assert [line.line for line in piece.rejected] == [line] * longer
        assert piece.record_count == 1 - longer
    block = b"\n".join([format_.example, line, b"broken", line + b"\r", format_.example])
    assert in_python(format_, block) == together(parser_of(format_).pieces(block))
    assert len(in_python(format_, block).starts) == 3 - longer


@pytest.mark.parametrize(
    "limits",
    [{"MOST_ENTRIES": 1}, {"MOST_ENTRIES": 10}, {"MOST_BYTES": (2 * LONGEST_LINE_BYTES) + 9}],
    ids=lambda limits: next(iter(limits)),
)
def test_full_dictionaries_are_replaced(limits: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """However few fields they hold: what was read before keeps its values, and no line is lost."""
    for name, value in limits.items():
        monkeypatch.setattr(dictionary, name, value)
    block = distinct(500)

    pieces = list(parser_of(COMBINED).pieces(block))

    assert len(pieces) > 3
    assert in_python(COMBINED, block) == together(pieces)


def test_more_lines_than_a_piece_has() -> None:
    """Pieces follow each other without a gap, and dictionaries grow past their first size."""
    block = distinct(3 * dictionary.LINES_AT_ONCE + 1)

    pieces = list(parser_of(COMBINED).pieces(block))

    assert [piece.record_count for piece in pieces] == [dictionary.LINES_AT_ONCE] * 3 + [1]
    assert in_python(COMBINED, block) == together(pieces)


def test_long_values_of_odd_lines_fill_a_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no fields whose bytes would: a log of such lines would take all memory."""
    monkeypatch.setattr(dictionary, "MOST_VALUE_BYTES", 9999)
    parser = parser_of(COMBINED)
    agents = [rb"\"%d" % number * 999 for number in range(9)]
    blocks = [COMBINED_LINE.replace(b"X11", agent) + b"\n" for agent in agents]

    pieces = [piece for block in blocks for piece in parser.pieces(block)]

    used = [len(set(alike)) for alike in zip(*(piece.dictionaries for piece in pieces), strict=True)]
    assert used[:-1] == [1] * (len(used) - 1)
    assert used[-1] > 1
    expected = [in_python(COMBINED, block).groups for block in blocks]
    assert expected == [list(piece.groups) for piece in pieces]


def test_odd_lines_share_codes() -> None:
    """Equal values have one, in a block and from one to the next: they would fill dictionaries in no time."""
    parser = parser_of(COMBINED)
    block = 5 * (COMBINED_LINE.replace(b"X11", rb"X\"11") + b"\n")

    pieces = [piece for _ in range(3) for piece in parser.pieces(block)]

    assert [piece.record_count for piece in pieces] == [5] * 3
    assert {len(each) for piece in pieces for each in piece.dictionaries} == {1}


@pytest.mark.parametrize("fails_at", range(1, 40))
def test_a_block_that_was_broken_off_leaves_nothing_behind(fails_at: int) -> None:
    """Whatever field it was at, the next block is right: the task is tried again in the same process."""
    calls = 0

    def encode(columns: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise MemoryError
        return as_bytes(columns, values)

    parser = coded_parser(COMBINED, encode)
    assert parser is not None
    block = distinct(200)
    with pytest.raises(MemoryError):
        list(parser.pieces(block))

    backwards = b"\n".join(reversed(block.splitlines()))
    assert in_python(COMBINED, backwards) == together(parser.pieces(backwards))


def test_a_block_that_was_broken_off_for_want_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none for new dictionaries then, and the old ones are not used again all the same."""

    def encode(columns: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
        if values == (199,):
            monkeypatch.setattr(coded, "Dictionary", no_memory)
            return no_memory()
        return as_bytes(columns, values)

    def no_memory(*_: Any) -> NoReturn:
        raise MemoryError

    parser = coded_parser(COMBINED, encode)
    assert parser is not None
    with pytest.raises(MemoryError):
        list(parser.pieces(distinct(200)))
    monkeypatch.undo()

    block = b"\n".join(reversed(distinct(199).splitlines()))
    assert in_python(COMBINED, block) == together(parser.pieces(block))


def test_fields_with_equal_hashes_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary whose slots are all but full finds every field all the same."""
    monkeypatch.setattr(dictionary, "_SLOTS", 1024)
    monkeypatch.setattr(dictionary, "MOST_ENTRIES", 1000)
    block = distinct(999)

    assert in_python(COMBINED, block) == together(parser_of(COMBINED).pieces(block))


@given(BLOCKS, st.integers(0, 1 << 40))
def test_rows_are_heads_places_and_values(block: bytes, origin: int) -> None:
    """A row is what it was told to begin with, its place in the source, and its values in order."""
    for piece in parser_of(COMBINED).pieces(block):
        heads = [b"<head>" + (origin + start).to_bytes(8) for start in piece.starts]
        rows = zip(heads, *piece.groups, strict=True)
        assert b"".join(map(b"".join, rows)) == piece.rows(b"<head>", origin)


def test_a_value_that_does_not_fit_rejects_its_line() -> None:
    """Also the second time, when its code is known."""

    def refuse(_: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
        if values == (1386,):
            raise RejectedLine("1386 is refused")
        return b"x"

    parser = coded_parser(COMBINED, refuse)
    assert parser is not None
    block = COMBINED_LINE + b"\n" + COMBINED_LINE.replace(b"1386", b"1387") + b"\n"

    for _ in range(2):
        (piece,) = parser.pieces(block)
        assert [len(COMBINED_LINE) + 1] == piece.starts
        assert [line.reason for line in piece.rejected] == ["1386 is refused"]


@given(st.lists(st.text(st.characters(blacklist_characters="\n")), max_size=20), st.integers(0, 1 << 40))
def test_rows_of_lines(lines: list[str], origin: int) -> None:
    """A row of the lake is its head, its place, its length and its bytes, also of a line without newline."""
    encoded = [line.encode(errors="surrogatepass") for line in lines]
    block = b"".join(line + b"\n" for line in encoded)
    places = [origin + sum(len(line) + 1 for line in encoded[:number]) for number in range(len(encoded))]
    rows = [
        b"<head>" + place.to_bytes(8) + len(line).to_bytes(4) + line
        for place, line in zip(places, encoded, strict=True)
    ]

    assert b"".join(rows) == scanner.line_rows(block, origin, b"<head>")
    if lines and lines[-1]:
        assert b"".join(rows) == scanner.line_rows(block[:-1], origin, b"<head>")


@given(st.binary(max_size=50), st.integers(0, 300))
def test_newlines_are_counted(piece: bytes, times: int) -> None:
    """As many as Python counts, in short blocks and long ones."""
    assert (piece * times).count(b"\n") == scanner.newlines(piece * times)


def test_without_compiled_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they were not built, Python does all of it."""
    monkeypatch.setattr(coded, "library", lambda: None)
    monkeypatch.setattr(scanner, "library", lambda: None)

    assert coded_parser(COMBINED, as_bytes) is None
    assert scanner.line_rows(b"a\n", 0, b"") is None
    assert scanner.newlines(b"a\n\n") == 2
