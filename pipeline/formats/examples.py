"""Lines with what becomes of them: the tests inside format files, and the examples of all formats."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.formats.line import LogFormat, parser_of

#: Characters of a value that are shown.
SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Example:
    """A line, or several of which the last one counts, and what becomes of it.

    Attributes:
        lines: without the last one's end.
        record: the values of its columns, times as ISO 8601 or aware, the others being NULL; None: rejected.
        rejected: part of the reason.
        at: when the line was stored first: what a missing year follows from.
    """

    lines: bytes
    record: dict[str, Any] | None
    rejected: str
    at: datetime


def complaints(format_: LogFormat, example: Example) -> Iterator[str]:
    """Yield for people what a format makes of a line that differs from the example."""
    parsed = parser_of(format_, lambda *pair: dict(zip(*pair, strict=True))).parse(
        example.lines + b"\n", 0, example.at
    )
    last = example.lines.rfind(b"\n") + 1
    if parsed.rejected and parsed.rejected[-1].start == last:
        reason = parsed.rejected[-1].reason
        if example.record is not None:
            yield f"it is rejected: {reason}"
        elif example.rejected not in reason:
            yield f"it is rejected with {reason!r}, not {example.rejected!r}"
        return
    values = {column: value for group in parsed.groups for column, value in group[-1].items()}
    if example.record is None:
        yield f"it is a record, not rejected with {example.rejected!r}"
        return
    yield from _differences(values, example.record)


def _differences(values: dict[str, Any], expected: dict[str, Any]) -> Iterator[str]:
    for column in dict.fromkeys((*expected, *values)):
        value, wanted = values.get(column), _moment(column, expected.get(column))
        if value != wanted or type(value) is not type(wanted):
            yield f"{column} is {_shown(value)}, not {_shown(wanted)}"


def _moment(column: str, expected: Any) -> Any:
    """Return an expected value as a record has it: times in UTC, durations as floats."""
    if column != "timestamp" or expected is None:
        return float(expected) if column.endswith("_seconds") and expected is not None else expected
    try:
        found = datetime.fromisoformat(expected) if isinstance(expected, str) else expected
    except ValueError:
        raise ConfigurationError(f"test.record.timestamp: {expected!r} is no ISO time") from None
    return found.astimezone(UTC)


def _shown(value: Any) -> str:
    text = "NULL" if value is None else str(value) if isinstance(value, datetime) else repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def failures(format_: LogFormat, tests: tuple[Example, ...]) -> Iterator[str]:
    """Yield for people which tests fail and why, with the first line of each; the format's example counts."""
    if not format_.match(format_.example):
        yield f"example: it does not parse: {format_.explain(format_.example).reason}"
    for number, test in enumerate(tests, start=1):
        for complaint in complaints(format_, test):
            yield f"test {number}, {_shown(test.lines.decode(errors='backslashreplace'))}: {complaint}"
