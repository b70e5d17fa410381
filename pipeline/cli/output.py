"""What the commands print: escaped text, aligned tables, one JSON object."""

import contextlib
import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: Shown where a value is not known.
UNKNOWN = "-"


def escape(text: str) -> str:
    """Return the text with everything that a terminal could obey or hide made visible.

    File names and log lines are foreign text: control characters, line separators, bidirectional marks
    and undecodable bytes come out as backslash escapes.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout; ASCII, so that any reader takes it."""
    print(json.dumps(value, default=str).replace("\x7f", "\\u007f"), flush=True)


def complain(message: str) -> None:
    """Print an error to stderr, each line of it escaped."""
    lines = [escape(line) for line in message.splitlines()] or [""]
    _to_stderr("error: " + "\n  ".join(lines))


def say(message: str) -> None:
    """Print a line for a person to stderr, so that stdout keeps to the result."""
    _to_stderr(escape(message))


def _to_stderr(text: str) -> None:
    # A terminal that was closed must not keep the children from an orderly end.
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an aligned table: numbers to the right, text to the left, None as `-`."""
    cells = [[_cell(value) for value in row] for row in rows]
    columns = list(zip(*([list(heads), *cells]), strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [_numeric(column[1:]) for column in columns]
    return "\n".join(_aligned(row, widths, right) for row in [list(heads), *cells])


def _cell(value: object) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.2f}" if isinstance(value, float) else escape(str(value))


def _numeric(cells: Sequence[str]) -> bool:
    return any(cell != UNKNOWN for cell in cells) and all(
        cell == UNKNOWN or cell.replace(".", "", 1).isdigit() for cell in cells
    )


def _aligned(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = zip(row, widths, right, strict=True)
    padded = (text.rjust(width) if numeric else text.ljust(width) for text, width, numeric in cells)
    return "  ".join(padded).rstrip()


def size(count: float) -> str:
    """Return a number of bytes for a person, in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:  # noqa: PLR2004 - the step between binary units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def log_to_stderr(level: str) -> None:
    """Send log records of this level and above to stderr, the time in front."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    # kombu's connection records repeat what our errors say, at each attempt.
    logging.getLogger("kombu").setLevel(max(logging.getLogger().level, logging.WARNING))
