"""What the commands print: escaped text, aligned tables, one JSON object."""

import contextlib
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline import logs
from pipeline.settings import Settings

#: Shown where a value is not known.
UNKNOWN = "-"


escape = logs.escape


class _Stderr:
    """How messages to stderr look: text for people, or JSON lines once a command was asked for them."""

    host: str | None = None

    def write(self, text: str, level: str, message: str) -> None:
        """Write the text made for people, or the message as a JSON line."""
        plain = self.host is None
        self.print(text if plain else logs.event(level, "pipeline.cli", message, host=self.host))

    def print(self, line: str) -> None:
        """Write a line as it is."""
        # A terminal that was closed must not keep the children from an orderly end.
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr, flush=True)


_stderr = _Stderr()


def emit_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of stdout; ASCII, so that any reader takes it."""
    print(logs.json_line(value), flush=True)


def complain(message: str) -> None:
    """Print an error to stderr, each line of it escaped."""
    lines = [escape(line) for line in message.splitlines()] or [""]
    _stderr.write("error: " + "\n  ".join(lines), "ERROR", message)


def say(message: str) -> None:
    """Print a line for a person to stderr, so that stdout keeps to the result."""
    _stderr.write(escape(message), "INFO", message)


def relay(name: str, line: str) -> None:
    """Print a child's line to stderr: its JSON object as it is, text with its name before it."""
    if _stderr.host is not None and line.startswith("{"):
        _stderr.print(escape(line))
    else:
        say(f"{name} | {line}")


def json_asked() -> bool:
    """Tell whether what goes to stderr is JSON lines."""
    return _stderr.host is not None


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


def log_to_stderr(level: str, settings: Settings) -> None:
    """Send log records of this level and above to stderr, one line each, in the style of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logs.formatter(settings.log_style, settings.host))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    _stderr.host = settings.host if settings.log_style == logs.Style.JSON else None
    # kombu's connection records repeat what our errors say, at each attempt.
    logging.getLogger("kombu").setLevel(max(logging.getLogger().level, logging.WARNING))
