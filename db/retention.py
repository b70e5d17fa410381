"""Retention: rows of lines that are old enough are removed, after the audit of their range has passed.

Age is the time since a segment was stored; a replay stores anew. On PostgreSQL a month whose rows are all old
enough goes by dropping its partition; the rest is deleted a slice at a time. Each slice and each month is a
transaction that removes rows and notes it, so the audit is true whenever this is stopped.
"""

import logging
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, Engine, delete, select, text, update

from db import months, partitions
from db.engine import reading, transaction
from db.expired import Cutoffs, Slice, is_settled, old_models, old_slices, parts_of
from db.expiry import Expiry, Gone, Held
from db.ledger import LAKE, STAGES
from db.models import CleanRecord, Conflict, RawLog, RejectedLine, Segment, Source
from db.outdated import remove_outdated
from db.proven import objection
from db.remains import Remains, remains
from db.removals import Kind, Place
from db.removing import MODELS, RANGES_AT_ONCE, Model, Models, Reason, note, take_rows
from db.summaries import prefer_summaries, summarise
from pipeline import failpoint
from pipeline.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

#: What rules call the tables.
TABLES: dict[str, Model] = {"lake": RawLog, "clean": CleanRecord, "rejected": RejectedLine}
#: Why rows stay that are old enough.
UNCOUNTED = "reports have not counted it yet"

#: Days that rows of a file, by its path, are kept: of one of TABLES or of outdated.py; None is for ever.
Days = Callable[[str, str], int | None]


def expire(
    engine: Engine,
    days: Days,
    *,
    dry_run: bool = False,
    seconds: float = math.inf,
    now: datetime | None = None,
) -> Expiry:
    """Remove what is old enough and return what that was; a dry run changes nothing.

    What does not fit into `seconds` is left to the next call, and so is a month that somebody reads from for
    long; a month is not interrupted. Of two calls at once one finds it done.

    Raises:
        DatabaseUnavailable: what was removed before stays removed; try again later.
        ConfigurationError: this role may not delete rows.
    """
    now = now or datetime.now(UTC)
    report = _Run(engine, days, now, dry_run=dry_run).until(time.monotonic() + seconds)
    noticed = remove_outdated(engine, days, now, dry_run=dry_run)
    report.findings, report.drifts = noticed["findings"], noticed["drifts"]
    return report


class _Run:
    """One call of `expire`."""

    def __init__(self, engine: Engine, days: Days, now: datetime, *, dry_run: bool) -> None:
        self._engine = engine
        self._now = now
        self._dry_run = dry_run
        self._report = Expiry()
        with reading(engine) as connection:
            query = select(Source.id, Source.path).order_by(Source.id)
            self._paths = {id_: path for id_, path in connection.execute(query)}  # noqa: C416 - rows, not pairs
        self._cutoffs = {id_: self._cutoffs_of(path, days) for id_, path in self._paths.items()}
        #: Tables and months that no slice goes over: their partition went, or waits for the next time.
        self._dropped: set[tuple[Model, date]] = set()

    def _cutoffs_of(self, path: str, days: Days) -> Cutoffs:
        kept = {model: days(path, name) for name, model in TABLES.items()}
        return {model: self._now - timedelta(days=each) for model, each in kept.items() if each is not None}

    def until(self, deadline: float) -> Expiry:
        if any(self._cutoffs.values()):
            if not self._dry_run:
                summarise(self._engine)
            for step in self._steps():
                if time.monotonic() > deadline:
                    self._report.is_finished = False
                    break
                step()
        return self._report

    def _steps(self) -> Iterator[Callable[[], None]]:
        for stage in STAGES:
            with reading(self._engine) as connection:
                found = months.old_months(connection, stage, self._cutoffs, self._now)
            for month, models in found:
                yield lambda stage=stage, month=month, models=models: self._month(stage, month, models)  # type: ignore[misc]
        for source_id, cutoffs in self._cutoffs.items():
            for stage in STAGES:
                own = {model: at for model, at in cutoffs.items() if model in MODELS[stage]}
                slices = old_slices(self._engine, Place(source_id, stage), own, self._dropped) if own else ()
                for each in slices:
                    yield lambda each=each: self._slice(each)  # type: ignore[misc]

    def _open(self) -> AbstractContextManager[Connection]:
        return reading(self._engine) if self._dry_run else transaction(self._engine)

    def _month(self, stage: str, month: date, models: Models) -> None:
        """Drop the partitions of a month, or leave its slices to say what speaks against it."""
        try:
            with self._open() as connection:
                _take_time(connection)
                if not self._dry_run:
                    for model in models:
                        partitions.hold(connection, model.__tablename__, month)
                gone = [
                    self._remove(connection, place, segments, models, delete_=False)
                    for place, segments in months.segments_of(connection, stage, month, models)
                ]
                months.require_all(connection, month, models, gone)
                if not self._dry_run:
                    for model in models:
                        partitions.drop(connection, model.__tablename__, month)
                    failpoint.reach("retention.committing")
        except months.MonthStaysError:
            return
        except DatabaseUnavailable as error:
            # Somebody reads for long: better the next time than row by row. What is away altogether, the
            # next step will say.
            log.warning("the partitions of %s wait for the next time: %s", month, error)
            self._report.is_finished = False
            self._dropped |= {(model, month) for model in models}
            return
        self._dropped |= {(model, month) for model in models}
        self._report.partitions += [partitions.partition_name(m.__tablename__, month) for m in models]
        for each in gone:
            self._report.add(each)

    def _slice(self, found: Slice) -> None:
        """Remove the rows of a slice, or of those of its segments against which nothing speaks."""
        place, reason = found.place, UNCOUNTED
        if found.is_settled:
            with self._open() as connection:
                _take_time(connection)
                segments = remains(connection, place, found.low, found.high, lock=not self._dry_run)
                if not all(self._is_still(found, each) for each in segments):
                    return  # read again meanwhile, and so stored today
                reason = objection(connection, place.source_id, found.low, found.high) or ""
                if not reason:
                    gone = self._remove(connection, place, segments, found.models, delete_=not self._dry_run)
                    failpoint.reach("retention.committing")
            if not reason:
                self._report.add(gone)
                return
            if len(segments) > 1:
                for each in segments:
                    self._slice(Slice(place, each.start, each.end, found.models, is_settled=True))
                return
        path = self._paths[place.source_id]
        self._report.hold(Held(place.source_id, path, place.stage, found.low, found.high, reason))

    def _is_still(self, found: Slice, segment: Remains) -> bool:
        old = old_models(found.place, segment, self._cutoffs[found.place.source_id], self._dropped)
        return set(found.models) <= set(old) and is_settled(found.place, segment)

    def _remove(
        self, connection: Connection, place: Place, segments: list[Remains], models: Models, *, delete_: bool
    ) -> Gone:
        """Note that rows are removed, and delete them unless their partition goes or this is a dry run."""
        parts = parts_of(connection, place, segments, models)
        removed = take_rows(connection, place, parts, models, delete_=delete_)
        if not self._dry_run:
            note(connection, place, removed, Reason(Kind.RETENTION, self._now))
            if place.stage == LAKE:
                _forget_resolved(connection, place, segments[0].start, segments[-1].end)
            else:
                _forget_tallies(connection, place, segments)
        ends = [part.end for part in removed]
        nearest = ((each, bisect_right(ends, each.start)) for each in segments)
        touched = sum(at < len(ends) and removed[at].start < each.end for each, at in nearest)
        return Gone(
            place.source_id,
            self._paths[place.source_id],
            place.stage,
            touched,
            sum(part.line_count for part in removed),
            sum(part.end - part.start for part in removed),
        )


def _take_time(connection: Connection) -> None:
    prefer_summaries(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


def _forget_resolved(connection: Connection, place: Place, low: int, high: int) -> None:
    """Delete the blocks that lost against lines which are removed now."""
    connection.execute(
        delete(Conflict).where(
            Conflict.source_id == place.source_id,
            Conflict.resolved_at.is_not(None),
            Conflict.start_offset < high,
            Conflict.end_offset > low,
        )
    )


def _forget_tallies(connection: Connection, place: Place, segments: Sequence[Remains]) -> None:
    """Delete what the records told the counts: it holds their values, and is not what is left of them."""
    own = (Segment.source_id == place.source_id) & (Segment.stage == place.stage)
    for first in range(0, len(segments), RANGES_AT_ONCE):
        starts = [segment.start for segment in segments[first : first + RANGES_AT_ONCE]]
        told = own & Segment.start_offset.in_(starts) & Segment.tally.is_not(None)
        connection.execute(update(Segment).where(told).values(tally=None))
