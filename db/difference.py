"""What a replay would change, computed from a view of the database and written nowhere."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, select

from db.cleaned import Choice, CleanRange, Stays, clean_ranges, examine
from db.engine import reading
from db.models import CleanRecord
from db.replay import Tally, rejected_starts
from db.sources import SourceRow
from db.summaries import summarise
from pipeline.enrich.enrichment import NOTHING, Enrichment
from pipeline.enrich.parsers import Parsers
from pipeline.formats.base import COLUMNS
from pipeline.formats.line import LogFormat

#: Old and new values of a column that are kept for a person to read.
EXAMPLES = 3
#: Characters of a value in an example.
SHOWN_CHARACTERS = 80

_NAMES = tuple(COLUMNS)
#: A line's values in the order of COLUMNS.
_Values = tuple[Any, ...]


@dataclass(slots=True)
class Change:
    """How many records of a column would have another value, and some of them, old and new."""

    count: int = 0
    examples: list[tuple[Any, Any]] = field(default_factory=list)

    def add(self, old: object, new: object) -> None:
        """Count a change."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((_shown(old), _shown(new)))


@dataclass(slots=True)
class Difference:
    """A replay's counts, and for a dry run what changes in lines that are records before and after."""

    tally: Tally
    changed: dict[str, Change] = field(default_factory=dict)


def preview(
    engine: Engine, source: SourceRow, choice: Choice, enrichment: Enrichment = NOTHING
) -> Difference:
    """Return what a replay of a source would do; memory holds one range at a time.

    Lines that only the database would refuse count as records.

    Raises:
        DatabaseUnavailable: the database does not answer.
        ConfigurationError: a range was read by a format that is not known here.
    """
    summarise(engine)
    comparison = _Comparison(source, choice, enrichment)
    for found in clean_ranges(engine, source.id, choice):
        with reading(engine) as connection:
            comparison.run(connection, found)
    return comparison.difference


class _Comparison:
    """Old and new rows of one source's ranges."""

    def __init__(self, source: SourceRow, choice: Choice, enrichment: Enrichment) -> None:
        self.difference = Difference(Tally())
        self._source = source
        self._choice = choice
        self._parsers: Parsers[_Values] = Parsers(enrichment, lambda _columns, values: values)

    def run(self, connection: Connection, found: CleanRange) -> None:
        tally = self.difference.tally
        examined = examine(connection, found, self._choice, self._source.format)
        if isinstance(examined, Stays):
            tally.stay(found, examined)
            return
        after: set[int] = set()
        new: dict[int, _Values] = {}
        lines = sum(self._read(part, examined.format, found, after, new) for part in examined.parts)
        tally.replace(lines, rejected_starts(connection, found), after)
        self._compare(_stored(connection, found), new)

    def _read(
        self,
        part: tuple[int, bytes],
        format_: LogFormat,
        found: CleanRange,
        after: set[int],
        new: dict[int, _Values],
    ) -> int:
        """Add the starts of a part's rejected lines and the values of its others; return how many it has."""
        start, block = part
        parser = self._parsers.of(format_)
        parsed = parser.parse(block, start, found.stored_at)
        mixed = self._choice.named is None
        rest = self._parsers.rest().read(format_, parsed.rejected, mixed=mixed, at=found.stored_at)
        after.update(start + line.start for line in rest.rejected)
        others = [(each.columns, each.lines) for each in rest.recovered]
        for columns, lines in [(parser.format.columns, parsed), *others]:
            starts = map(start.__add__, lines.starts)
            new.update(zip(starts, _rows(columns, lines.groups, len(lines.starts)), strict=True))
        return parsed.line_count

    def _compare(self, old: Iterable[tuple[int, _Values]], new: dict[int, _Values]) -> None:
        for start, values in old:
            others = new.get(start)
            if others is not None and others != values:
                for name, before, now in zip(_NAMES, values, others, strict=True):
                    if before != now:
                        self.difference.changed.setdefault(name, Change()).add(before, now)


def _rows(columns: tuple[str, ...], groups: list[list[_Values]], count: int) -> Iterable[_Values]:
    """Yield the values of each line in the order of COLUMNS, None where the columns lack one."""
    absent = len(columns)
    places = [columns.index(name) if name in columns else absent for name in _NAMES]
    for values in zip(*groups, [(None,)] * count, strict=True):
        flat = [value for group in values for value in group]
        yield tuple(flat[place] for place in places)


def _stored(connection: Connection, found: CleanRange) -> Iterable[tuple[int, _Values]]:
    columns = [CleanRecord.__table__.c[name] for name in _NAMES]
    within = CleanRecord.within(found.source_id, found.start, found.end)
    query = select(CleanRecord.line_start, *columns).where(within)
    for start, *values in connection.execute(query):
        yield start, tuple(values)


def _shown(value: object) -> object:
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) else value
