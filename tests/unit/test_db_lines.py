"""The two columns of a line give back its bytes, whatever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import lines


@given(st.binary(max_size=200))
def test_blocks_come_back(block: bytes) -> None:
    """Splitting a block and writing each line as columns loses no byte, and no column holds a NUL."""
    held = [(start, lines.columns(line)) for start, line in lines.split(block)]

    assert block == b"".join(lines.original(text, raw) for _, (text, raw) in held)
    assert all("\0" not in text for _, (text, _) in held)
    assert [start for start, _ in held] == [
        position for position in range(len(block)) if position == 0 or block[position - 1 : position] == b"\n"
    ]


@pytest.mark.parametrize(
    ("line", "text", "raw"),
    [
        (b"plain\n", "plain", None),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}\n".encode(), "café", None),
        (b"carriage\r\n", "carriage\r", None),
        (b"\n", "", None),
        (b"no newline", "no newline", b"no newline"),
        (b"nul\0\n", "nul\\x00", b"nul\0\n"),
        (b"caf\xe9\n", "caf\\xe9", b"caf\xe9\n"),
        (b"\xed\xa0\x80\n", "\\xed\\xa0\\x80", b"\xed\xa0\x80\n"),
    ],
)
def test_columns(line: bytes, text: str, raw: bytes | None) -> None:
    """`raw` is kept exactly where the text and a newline are not the bytes."""
    assert (text, raw) == lines.columns(line)


def test_long_lines_show_their_head() -> None:
    """A long line that is not plain text is readable by its first 8 KiB and kept whole in `raw`."""
    line = b"\xff" + b"a" * 100_000 + b"\n"

    text, raw = lines.columns(line)

    assert text == "\\xff" + "a" * (lines.HEAD_BYTES - 1)
    assert raw == line


def test_plain_text_refuses_what_postgresql_refuses() -> None:
    """A block goes the fast way only if it is UTF-8, has no NUL and ends with a newline."""
    assert lines.plain_text(b"a\nb\n") == "a\nb\n"
    assert [lines.plain_text(block) for block in (b"a", b"\0\n", b"\xff\n")] == [None] * 3
