"""Months of which everything is old enough, on PostgreSQL: their partitions can be dropped."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from sqlalchemy import Connection, func, select, text

from db import partitions
from db.expired import PAGE_SEGMENTS, Cutoffs, is_settled, runs
from db.expiry import Gone
from db.models import Segment
from db.proven import objection
from db.remains import Remains, remains_from
from db.removals import Place
from db.removing import MODELS, Model, Models

#: Of a month without lanes that is the partition itself.
_IN_PARTITION = text("tableoid IN (SELECT relid FROM pg_partition_tree(to_regclass(:partition)))")


class MonthStaysError(Exception):
    """Something of a month may not be removed."""


def old_months(
    connection: Connection, stage: str, cutoffs: Mapping[int, Cutoffs], now: datetime
) -> list[tuple[date, Models]]:
    """Return the months whose partitions hold nothing that is to be kept, and the tables of which that is so.

    `cutoffs` are those of every source by its number. None on SQLite.
    """
    found: dict[date, list[Model]] = {}
    for model in MODELS[stage]:
        for month in partitions.months(connection, model.__tablename__):
            end = _moment(partitions.following(month))
            # Looked at only where some rule reaches so far; a month that has just ended may still be written.
            if end < now and any(end <= each[model] for each in cutoffs.values() if model in each):
                sources = _rows_by_source(connection, model, month)
                if all(model in cutoffs[id_] and end <= cutoffs[id_][model] for id_ in sources):
                    found.setdefault(month, []).append(model)
    return [(month, tuple(models)) for month, models in sorted(found.items())]


def segments_of(
    connection: Connection, stage: str, month: date, models: Models
) -> Iterator[tuple[Place, list[Remains]]]:
    """Yield the segments that were stored in a month and have rows in its partitions, neighbours together.

    Raises:
        MonthStaysError: something speaks against removing one of them.
    """
    stored = (Segment.stored_at >= _moment(month)) & (
        Segment.stored_at < _moment(partitions.following(month))
    )
    for source_id in sorted({id_ for model in models for id_ in _rows_by_source(connection, model, month)}):
        place, position, full = Place(source_id, stage), 0, True
        while full:
            page = remains_from(connection, place, position, stored, most=PAGE_SEGMENTS)
            full = len(page) == PAGE_SEGMENTS
            position = page[-1].end if page else position
            for run in runs(each for each in page if each.parts):
                if not all(is_settled(place, each) for each in run):
                    raise MonthStaysError
                if objection(connection, source_id, run[0].start, run[-1].end):
                    raise MonthStaysError
                yield place, run


def require_all(connection: Connection, month: date, models: Models, gone: Sequence[Gone]) -> None:
    """Return if what is noted as removed is what the partitions of a month hold.

    Raises:
        MonthStaysError: they hold other rows: they are not dropped.
    """
    held: dict[int, int] = {}
    for model in models:
        for source_id, rows in _rows_by_source(connection, model, month).items():
            held[source_id] = held.get(source_id, 0) + rows
    noted: dict[int, int] = {}
    for each in gone:
        noted[each.source_id] = noted.get(each.source_id, 0) + each.lines
    if held != {source_id: lines for source_id, lines in noted.items() if lines}:
        raise MonthStaysError


def _rows_by_source(connection: Connection, model: Model, month: date) -> dict[int, int]:
    """Return the rows in the partition of a month by source."""
    name = partitions.partition_name(model.__tablename__, month)
    query = (
        select(model.source_id, func.count())
        .where(model.stored_on >= month, model.stored_on < partitions.following(month))
        # Not those that wait in the default partition.
        .where(_IN_PARTITION.bindparams(partition=name))
    )
    rows = connection.execute(query.group_by(model.source_id))
    return {source_id: count for source_id, count in rows}  # noqa: C416 - rows, not pairs


def _moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
