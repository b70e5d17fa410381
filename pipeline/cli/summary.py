"""What a run has come to, counted by the database."""

import time
from dataclasses import asdict, dataclass

from sqlalchemy import Engine

from pipeline.cli import output
from pipeline.cli.reach import Lookout
from pipeline.cli.totals import Totals, totals


@dataclass(frozen=True)
class Summary:
    """The totals of a run's sources; its fields are the keys of `run --json`.

    Attributes:
        lines, raw, clean, rejected, missing_bytes, duplicate_lines: see Totals.
        seconds: how long the run took, from the start of its children until all was stored.
        lines_per_second: lines that this run added to the lake, by its seconds.
    """

    lines: int
    raw: int
    clean: int
    rejected: int
    seconds: float
    lines_per_second: float
    missing_bytes: int
    duplicate_lines: int

    def show(self, *, as_json: bool) -> None:
        """Print the summary: a table, or one JSON object."""
        fields = asdict(self)
        if as_json:
            output.emit_json(fields)
        else:
            print(output.table(tuple(fields), [tuple(fields.values())]))


class Clock:
    """Times a run, and knows what was there before it."""

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self.lines_before = lookout.look().lines
        self._started_at = time.monotonic()
        self.seconds = 0.0

    def stop(self) -> None:
        """Note the time that the run took."""
        self.seconds = time.monotonic() - self._started_at


def count(lookout: Lookout, engine: Engine) -> Totals:
    """Return the totals of a run's sources.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    return totals(engine, {status.key: status.offset for status in lookout.sources()})


def summarise(counted: Totals, clock: Clock) -> Summary:
    """Return the summary of a run."""
    added = max(0, counted.lines - clock.lines_before)
    return Summary(
        lines=counted.lines,
        raw=counted.raw,
        clean=counted.clean,
        rejected=counted.rejected,
        seconds=round(clock.seconds, 2),
        lines_per_second=round(added / clock.seconds, 1) if clock.seconds else 0.0,
        missing_bytes=counted.missing_bytes,
        duplicate_lines=counted.duplicate_lines,
    )
