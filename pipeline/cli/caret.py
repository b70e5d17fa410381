"""A line with a caret under the place where matching stopped, safe to print."""

import unicodedata

from pipeline.cli import output

#: Most characters of a value, and of a line on either side of where matching stopped, that are printed.
SHOWN_CHARACTERS = 50
#: More bytes than so many characters take.
SHOWN_BYTES = 8 * SHOWN_CHARACTERS
#: East Asian widths of characters that take two cells of a terminal.
WIDE = ("W", "F")


def pointed(line: bytes, position: int | None, reason: str) -> str:
    """Return the surroundings of a position of a line, and below it a caret with the reason."""
    before, after = around(line, position or 0)
    return f"  {before}{after}\n  {' ' * sum(map(_cells, before))}^ {output.escape(reason)}"


def around(line: bytes, position: int) -> tuple[str, str]:
    """Return what stands before and after a position of a line, escaped and shortened."""
    start = max(0, position - SHOWN_BYTES)
    before = output.escape(line[start:position].decode(errors="backslashreplace"))
    after = output.escape(line[position : position + SHOWN_BYTES].decode(errors="backslashreplace"))
    if len(before) > SHOWN_CHARACTERS:
        before = "…" + before[-SHOWN_CHARACTERS:]
    return before, clipped(after)


def clipped(text: str) -> str:
    """Return a text, shortened."""
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in WIDE else 1
