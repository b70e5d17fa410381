"""Lake → clean again: the rows of a range replaced by what today's format makes of its bytes.

A range is one segment, replaced in one transaction: readers see all of its old rows or all of its new ones.
What today's version has read is skipped, so a replay that was interrupted goes on where it stopped. As after
a resolved conflict, the new rows are stored today: `stored_on` stays the day of their segment's `stored_at`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from sqlalchemy import Connection, Engine, delete, select, update

from db.cleaned import PAGE_RANGES, Choice, CleanRange, Stays, clean_ranges, examine, locked_range
from db.counting import exchange, take_away, take_away_ahead, tally_of
from db.engine import reading, transaction
from db.faults import ValuesRefused
from db.ledger import Range, Won
from db.models import CleanRecord, RejectedLine, Segment, Source
from db.sources import Known, SourceRow
from db.store import CleanStore
from db.summaries import summarise
from pipeline import batch, failpoint
from pipeline.enrich.enrichment import NOTHING, Enrichment
from pipeline.formats.parse import collector_paused

#: Lines whose counts are taken away at once, seconds of work; and in a slice, which has less than one.
LINES_AT_ONCE, LINES_OF_SLICE = 500_000, 100_000
#: Lines loaded after which they are summarised, or finding rows by their place would slow down.
SUMMARISE_LINES = 100_000
#: Ranges without bytes that are named.
NAMED_RANGES = 3


@dataclass(slots=True)
class Tally:
    """What became of the ranges of a source.

    Attributes:
        replaced: read again; with a dry run, those that would be.
        skipped: that the wanted version has read already.
        lines, records, rejected: of the replaced ranges, afterwards.
        newly_parsed, newly_rejected: lines that were rejected before, and lines that were records.
        removed: left as they are, because they were removed on purpose, or the lake's bytes of them.
        unavailable: left as they are, because the lake lacks their bytes or holds others.
        first_unavailable: the first of those.
    """

    replaced: int = 0
    skipped: int = 0
    lines: int = 0
    records: int = 0
    rejected: int = 0
    newly_parsed: int = 0
    newly_rejected: int = 0
    removed: int = 0
    unavailable: int = 0
    first_unavailable: list[Range] = field(default_factory=list)

    @property
    def ranges(self) -> int:
        """Ranges that were looked at."""
        return self.replaced + self.skipped + self.removed + self.unavailable

    def stay(self, found: CleanRange, why: Stays) -> None:
        """Count a range that stays as it is."""
        if why is Stays.READ:
            self.skipped += 1
            return
        if why is Stays.REMOVED:
            self.removed += 1
            return
        self.unavailable += 1
        if len(self.first_unavailable) < NAMED_RANGES:
            self.first_unavailable.append((found.start, found.end))

    def replace(self, lines: int, before: set[int], after: set[int]) -> None:
        """Count a replaced range by the starts of its rejected lines before and after."""
        self.replaced += 1
        self.lines += lines
        self.records += lines - len(after)
        self.rejected += len(after)
        self.newly_parsed += len(before - after)
        self.newly_rejected += len(after - before)


def replay(engine: Engine, source: SourceRow, choice: Choice, enrichment: Enrichment = NOTHING) -> Tally:
    """Read a source's clean ranges again and return what became of them.

    Raises:
        DatabaseUnavailable: what was replaced before stays so; a second call goes on from there.
        ConfigurationError: a range was read by a format that is not known here.
    """
    replayer = Replayer(engine, choice, CleanStore(engine, enrichment))
    for _ in replayer.replay(source.id):
        pass
    return replayer.tally


def rejected_starts(connection: Connection, found: CleanRange) -> set[int]:
    """Return where the rejected lines of a range start in the source."""
    within = RejectedLine.within(found.source_id, found.start, found.end)
    return set(connection.scalars(select(RejectedLine.line_start).where(within)))


#: Lines of a replaced range, and the starts of its rejected ones before and after.
_Replaced = tuple[int, set[int], set[int]]


class Replayer:
    """The replacing of ranges, counted in its `tally`."""

    def __init__(
        self, engine: Engine, choice: Choice, store: CleanStore, lines_at_once: int = LINES_AT_ONCE
    ) -> None:
        self.tally = Tally()
        self._lines_at_once = lines_at_once
        self._summarised_at: int | None = None
        self._engine = engine
        self._choice = choice
        self._store = store

    def replay(self, source_id: int, position: int = 0) -> Iterator[CleanRange]:
        """Yield each range of a source from a position on, once it is replaced or counted as one that stays.

        Raises:
            DatabaseUnavailable, ConfigurationError: as `replay`.
        """
        of_source = self._format_of(source_id)
        ranges = clean_ranges(self._engine, source_id, self._choice, position)
        for group in _groups(ranges, self._lines_at_once):
            wanted = {
                found.id
                for found in group
                if not self._choice.leaves(found, self._choice.format_of(found, of_source))
            }
            if wanted:
                self._summarise()
                take_away_ahead(self._engine, sorted(wanted))
            for found in group:
                if found.id in wanted:
                    self._summarise()
                    self._run(found)
                else:
                    self.tally.stay(found, Stays.READ)
                yield found

    def _summarise(self) -> None:
        lines = self.tally.lines
        if self._summarised_at is None or lines - self._summarised_at >= SUMMARISE_LINES:
            summarise(self._engine)
            self._summarised_at = lines

    def _format_of(self, source_id: int) -> str | None:
        """Return the format of a source, the one that the choice names from now on."""
        if self._choice.named:
            with transaction(self._engine) as connection:
                own = update(Source).where(Source.id == source_id)
                connection.execute(own.values(format=self._choice.named))
            return self._choice.named
        with reading(self._engine) as connection:
            return connection.execute(select(Source.format).where(Source.id == source_id)).scalar()

    def _run(self, found: CleanRange) -> None:
        """Replace a range in a transaction of its own, or count why it stays."""
        with collector_paused():
            try:
                outcome = self._transaction(found, careful=False)
            except ValuesRefused:
                outcome = self._transaction(found, careful=True)
        if isinstance(outcome, Stays):
            self.tally.stay(found, outcome)
        else:
            self.tally.replace(*outcome)

    def _transaction(self, found: CleanRange, *, careful: bool) -> _Replaced | Stays:
        with transaction(self._engine) as connection:
            return self._replace(connection, found, careful)

    def _replace(self, connection: Connection, listed: CleanRange, careful: bool) -> _Replaced | Stays:
        found = locked_range(connection, listed.id)
        if found is None:  # a conflict was resolved meanwhile, and its winner parsed
            return Stays.READ
        query = select(Source.key, Source.path, Source.format).where(Source.id == found.source_id)
        key, path, of_source = connection.execute(query).one()
        examined = examine(connection, found, self._choice, of_source)
        if isinstance(examined, Stays):
            return examined
        before = rejected_starts(connection, found)
        is_whole = sum(len(block) for _, block in examined.parts) == found.end - found.start
        counted = tally_of(connection, found.id) if is_whole and not careful else None
        if counted is None:
            take_away(connection, found.source_id, found.start, found.end)
        _delete_rows(connection, found)
        # Without a name it is read as a first ingestion does: what this format rejects, by the others too.
        source = batch.Source(key, "", path, format=self._choice.named or "auto")
        parts = [batch.Batch(source, start, block) for start, block in examined.parts]
        now = datetime.now(UTC)
        known = Known(found.source_id, path, None if examined.is_recognised else examined.format.name)
        rejected = sum(
            self._store.replace(connection, known, Won(found.id, part, found.stored_at), now, careful=careful)
            for part in parts
        )
        own = update(Segment).where(Segment.id == found.id)
        connection.execute(own.values(stored_at=now))
        if len(parts) > 1:  # each has noted itself alone; what they add to the counts is counted by SQL
            counts = {"rejected_count": rejected, "record_count": Segment.line_count - rejected}
            connection.execute(own.values(tally=None, **counts))
        if counted is not None:
            exchange(connection, found.id, counted)
        failpoint.reach("replay.committing")
        return sum(part.line_count for part in parts), before, rejected_starts(connection, found)


def _groups(ranges: Iterable[CleanRange], most_lines: int) -> Iterator[list[CleanRange]]:
    """Yield ranges in lists of about so many lines."""
    group: list[CleanRange] = []
    lines = 0
    for found in ranges:
        group.append(found)
        lines += found.records + found.rejected
        if lines >= most_lines or len(group) >= PAGE_RANGES:
            yield group
            group, lines = [], 0
    if group:
        yield group


def _delete_rows(connection: Connection, found: CleanRange) -> None:
    """Delete the rows of a range; their day leads PostgreSQL to the one partition that holds them."""
    day = found.stored_at.astimezone(UTC).date()
    deleted = sum(_delete(connection, found, model, day) for model in (CleanRecord, RejectedLine))
    if deleted != found.records + found.rejected:
        # Rows under another day would stand beside the new ones.
        for model in (CleanRecord, RejectedLine):
            _delete(connection, found, model)


def _delete(
    connection: Connection,
    found: CleanRange,
    model: type[CleanRecord | RejectedLine],
    day: date | None = None,
) -> int:
    statement = delete(model).where(model.within(found.source_id, found.start, found.end))
    if day is not None:
        statement = statement.where(model.stored_on == day)
    return connection.execute(statement).rowcount
