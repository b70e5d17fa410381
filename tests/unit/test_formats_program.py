"""Programs for the scanner: which patterns have one, and that it reads what the pattern reads."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.formats.base import Format, Group
from pipeline.formats.coded import coded_parser
from pipeline.formats.program import program_of
from tests.unit.formats.coded import PROGRAMS, together

# What a pattern may be made of, and lines of the same few bytes.
_PARTS = st.sampled_from(
    ["a", "b", "[ab]", "[^a]", "[^ab]", "a*", "[ab]+", "[^c]{1,3}", "[^ca]{0,2}", "(?:a|bc)", "(?:a|b|cc)?",
     "(?:ab|c+)", "c", " ", "(?<!a)", "(?<!\\r)", r"\d+", r"\d\d", "(?:ab){2}", "[^\n]*"]
)  # fmt: skip
_TEXTS = st.text("abc1 \r", max_size=9).map(str.encode)


@pytest.mark.usefixtures("compiled")
@given(st.lists(_PARTS, min_size=1, max_size=4), st.lists(_PARTS, max_size=3), st.lists(_TEXTS, max_size=20))
@example(["[^c]{1,3}"], ["a", "c"], [b"bbaac", b"aac", b"ac"])
@example(["[^\n]*", "(?<!\r)"], [], [b"a\r\r", b"a\r", b"\r"])
def test_a_program_reads_what_its_pattern_reads(
    field: list[str], behind: list[str], lines: list[bytes]
) -> None:
    """Whatever the pattern: a line that the program takes has the captures that the pattern has of it."""
    try:
        pattern = f"(?P<all>{''.join(field)}){''.join(behind)}"
        format_ = Format("any", 1, pattern, (Group("all", ("timestamp",), lambda field: (field,)),))
    except re.error:  # pragma: no cover - all of the parts fit together
        return
    parser = coded_parser(format_, lambda _, values: values[0])
    whole = re.compile(pattern.encode() + rb"\r?")
    if parser is None:
        return

    parsed = together(parser.pieces(b"".join(line + b"\n" for line in lines)))

    assert [m["all"] for m in map(whole.fullmatch, lines) if m] == (parsed.groups[0] if parsed.groups else [])


@pytest.mark.parametrize(
    ("pattern", "has_program"),
    [
        ("(?P<time>[ab]*)b", False),
        ("(?P<time>[^ ]*) x", True),
        ("(?P<time>[^x]*) x", True),
        ("(?P<time>[^y]*) x", False),
        ("(?P<time>[^ ]*)[a ]*", False),
        ("(?P<time>(?:a|ab)) ", False),
        ("(?P<time>(?:a|b)?) ", True),
        ("(?P<time>a|b+) ", True),
        ("(?P<time>a*?) ", False),
        ("(?P<time>.*)", False),
        ("(?P<time>[^ ]*)", False),
        ("(?P<time>{rest})", True),
        ("(?i:(?P<time>a)) ", False),
        ("(?i)(?P<time>a) ", False),
        (r"(?P<time>\b) ", False),
        (r"(?P<time>\S+) ", False),
        ("(?:(?P<time>a)|b) ", False),
        ("(?P<time>a){0} ", False),
        ("(?P<time>a(?P<more>b)) ", False),
        ("(?P<time>a{1,4000000000}) ", True),
        ("(?P<time>a{4000000000,}) ", False),
        (f"(?P<time>{'(?:' * 9}a{'){16}' * 9}) ", False),
    ],
)
def test_which_patterns_have_a_program(pattern: str, has_program: bool) -> None:
    """None where the end of a loop is in doubt, a part is not known, or a capture may be left out."""
    names = tuple(re.compile(pattern.replace("{rest}", "")).groupindex)
    format_ = Format("any", 1, pattern, (Group("time", ("timestamp",), lambda field: (field,), names),))

    assert has_program == (program_of(format_) is not None)


def test_built_in_formats_with_a_program() -> None:
    """Those that most logs have are read by the compiled loops."""
    names = {format_.name for format_ in PROGRAMS}

    assert {"common", "combined", "vhost_combined", "combined_duration", "nginx_main", "joined"} <= names
