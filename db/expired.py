"""What is old enough: slices of a stage whose rows may go, and which byte ranges these rows take up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby

from sqlalchemy import Connection, Engine, LargeBinary, cast, func, select

from db import ledger
from db.engine import reading
from db.ledger import CLEAN, Range
from db.models import CleanRecord, RejectedLine, Segment
from db.remains import Remains, remains_from
from db.removals import Place, removed_ranges
from db.removing import MODELS, Model, Models

#: Segments that are in memory at once, and lines after which a slice ends.
PAGE_SEGMENTS, LINES_AT_ONCE = 500, 100_000

#: The moment before which rows of a table are old enough.
Cutoffs = Mapping[Model, datetime]
#: Tables and the months of which they have no rows any more.
Dropped = AbstractSet[tuple[Model, date]]
NONE_DROPPED: Dropped = frozenset()


@dataclass(frozen=True, slots=True)
class Slice:
    """Neighbouring segments [low, high) of a stage, and the tables whose rows of them are old enough.

    `is_settled` is False where reports still need the records, because they have not counted them.
    """

    place: Place
    low: int
    high: int
    models: Models
    is_settled: bool


def old_models(
    place: Place, segment: Remains, cutoffs: Cutoffs, dropped: Dropped = NONE_DROPPED
) -> tuple[Model, ...]:
    """Return the tables in which the rows of a segment are old enough, but for those of a dropped month."""
    month = segment.stored_at.astimezone(UTC).date().replace(day=1)
    old = (m for m in MODELS[place.stage] if m in cutoffs and segment.stored_at < cutoffs[m])
    return tuple(model for model in old if (model, month) not in dropped)


def is_settled(place: Place, segment: Remains) -> bool:
    """Tell whether reports can do without the records of a segment."""
    return place.stage != CLEAN or segment.is_counted


def old_slices(
    engine: Engine, place: Place, cutoffs: Cutoffs, dropped: Dropped = NONE_DROPPED
) -> Iterator[Slice]:
    """Yield the slices of a stage of which something is old enough and left, in the order of the source.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    position, full = 0, True
    while full:
        with reading(engine) as connection:
            old = Segment.stored_at < max(cutoffs.values())
            page = remains_from(connection, place, position, old, most=PAGE_SEGMENTS)
            full = len(page) == PAGE_SEGMENTS
            if full:
                # A removed range may reach over any number of segments.
                behind = removed_ranges(connection, place, page[-1].end, page[-1].end + 1)
                position = max([page[-1].end, *(end for _, end in behind)])
        for (models, settled), segments in groupby(
            (each for each in page if each.parts),
            lambda each: (old_models(place, each, cutoffs, dropped), is_settled(place, each)),
        ):
            for run in runs(segments) if models else ():
                yield Slice(place, run[0].start, run[-1].end, models, settled)


def runs(segments: Iterable[Remains]) -> Iterator[list[Remains]]:
    """Yield segments in lists of neighbours, each of about so many lines at most."""
    run: list[Remains] = []
    lines = 0
    for segment in segments:
        if run and (segment.start != run[-1].end or lines >= LINES_AT_ONCE):
            yield run
            run, lines = [], 0
        run.append(segment)
        lines += segment.lines
    if run:
        yield run


def parts_of(
    connection: Connection, place: Place, segments: Sequence[Remains], models: Models
) -> list[Range]:
    """Return the ranges of what is left of some segments whose rows are in these tables, in order.

    Each covers whole segments, or lies within one.
    """
    found: list[Range] = []
    whole_before = False
    rejected = (
        {} if len(models) == len(MODELS[place.stage]) else _rejected_ranges(connection, place, segments)
    )
    for segment in segments:
        parts = list(segment.parts)
        if rejected.get(segment.start) or models == (RejectedLine,):
            inside = rejected.get(segment.start, [])
            parts = _without(parts, inside) if models == (CleanRecord,) else inside
        whole = parts == [(segment.start, segment.end)]
        if whole and whole_before and found[-1][1] == segment.start:
            found[-1] = (found[-1][0], segment.end)
        else:
            found += parts
        whole_before = whole
    return found


def _without(parts: Sequence[Range], taken: Sequence[Range]) -> list[Range]:
    return [rest for low, high in parts for rest in ledger.complement(_near(taken, low, high), low, high)]


def _near(ranges: Sequence[Range], low: int, high: int) -> list[Range]:
    return [each for each in ranges if each[0] < high and each[1] > low]


def _rejected_ranges(
    connection: Connection, place: Place, segments: Sequence[Remains]
) -> dict[int, list[Range]]:
    """Return the ranges of rejected lines, neighbours made one, by the starts of their segments."""
    # A line is its text in UTF-8 and a newline where it is not kept as bytes.
    text = func.octet_length(RejectedLine.line) + 1
    if connection.dialect.name == "sqlite":
        text = func.length(cast(RejectedLine.line, LargeBinary)) + 1
    size = func.coalesce(func.length(RejectedLine.raw), text)
    low, high = segments[0].start, segments[-1].end
    query = select(RejectedLine.line_start, size).where(RejectedLine.within(place.source_id, low, high))
    found: dict[int, list[Range]] = {}
    index = 0
    for start, length in connection.execute(query.order_by(RejectedLine.line_start)):
        while start >= segments[index].end:
            index += 1
        ranges = found.setdefault(segments[index].start, [])
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], start + length)
        else:
            ranges.append((start, start + length))
    return found
