"""Tables out of rows: cells of texts, numbers and bars. Texts of logs and names of files come out inert."""

from collections.abc import Callable, Sequence
from typing import Any

from pipeline.logs import escape
from pipeline.report import words
from pipeline.report.blocks import Cell, Grid, State

#: Characters of a foreign text that a cell shows.
SHOWN = 300
#: Shown where a value is not known.
UNKNOWN = "-"
#: How values of a ranking are said that are no plain numbers.
_UNITS: dict[str, Callable[[float], str]] = {"bytes": words.size, "mean_seconds": words.seconds}


def text(value: object, state: State = State.PLAIN) -> Cell:
    """Return a text of any origin: control characters made visible, cut where it is very long."""
    return Cell(visible(value), state=state)


def visible(value: object) -> str:
    """Return a text of any origin as one line that obeys nothing."""
    shown = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    cut = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} …"
    return UNKNOWN if value is None else escape(cut)


def number(value: float | None, state: State = State.PLAIN) -> Cell:
    """Return a count."""
    return Cell(UNKNOWN if value is None else words.count(value), is_number=True, state=state)


def said(value: str, state: State = State.PLAIN) -> Cell:
    """Return a number with its unit, in words of our own."""
    return Cell(value, is_number=True, state=state)


def ranking(
    caption: str, heads: Sequence[str], found: Sequence[dict[str, Any]], names: Sequence[str]
) -> Grid:
    """Return a table of what is ranked: the column of the first name with bars of its `hits`, and the rest.

    Args:
        caption: what is ranked.
        heads: of the columns.
        found: the rows, the largest first.
        names: of the values in the order of the heads; `hits` is among them.
    """
    largest = max((row["hits"] for row in found), default=0) or 1
    rows = [
        [
            Cell(visible(row[names[0]]), share=row["hits"] / largest),
            *(_value(row, name) for name in names[1:]),
        ]
        for row in found
    ]
    return Grid(caption, heads, rows, empty="No records in this period.")


def _value(row: dict[str, Any], name: str) -> Cell:
    value = row[name]
    if name in _UNITS:
        return said(_UNITS[name](value or 0))
    return (
        number(value) if isinstance(value, int) and name != "status" else Cell(visible(value), is_number=True)
    )
