"""Lake → clean again: the rows of a range replaced by what today's format makes of its bytes.

A range is one segment, replaced in one transaction: readers see all of its old rows or all of its new ones.
What today's version has read is skipped, so a replay that was interrupted goes on where it stopped. As after
a resolved conflict, the new rows are stored today: `stored_on` stays the day of their segment's `stored_at`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, select, update

from db.cleaned import Choice, CleanRange, clean_ranges, locked_range, range_bytes, recognised
from db.counting import take_away
from db.engine import transaction
from db.faults import ValuesRefused
from db.ledger import Range, Won
from db.models import CleanRecord, RejectedLine, Segment, Source
from db.sources import Known, SourceRow
from db.store import CleanStore
from db.summaries import prefer_summaries, summarise
from pipeline import batch, failpoint
from pipeline.enrich.enrichment import NOTHING, Enrichment

#: Ranges after which what was loaded is summarised again, or finding rows by their place would slow down.
SUMMARISE_RANGES = 200
#: Ranges without bytes that are named.
NAMED_RANGES = 3


@dataclass(slots=True)
class Tally:
    """What became of the ranges of a source.

    Attributes:
        ranges: that were looked at, `replaced + skipped + unavailable`.
        replaced: read again; with a dry run, those that would be.
        skipped: that the wanted version has read already.
        lines, records, rejected: of the replaced ranges, afterwards.
        newly_parsed, newly_rejected: lines that were rejected before, and lines that were records.
        unavailable: left as they are, because the lake lacks their bytes or holds others.
        first_unavailable: the first of those.
    """

    ranges: int = 0
    replaced: int = 0
    skipped: int = 0
    lines: int = 0
    records: int = 0
    rejected: int = 0
    newly_parsed: int = 0
    newly_rejected: int = 0
    unavailable: int = 0
    first_unavailable: list[Range] = field(default_factory=list)

    def skip(self) -> None:
        """Count a range that stays because nothing would change."""
        self.ranges += 1
        self.skipped += 1

    def miss(self, found: CleanRange) -> None:
        """Count a range that stays because its bytes are not to be had."""
        self.ranges += 1
        self.unavailable += 1
        if len(self.first_unavailable) < NAMED_RANGES:
            self.first_unavailable.append((found.start, found.end))

    def replace(self, lines: int, before: set[int], after: set[int]) -> None:
        """Count a replaced range by the starts of its rejected lines before and after."""
        self.ranges += 1
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
    tally = Tally()
    if choice.named:
        with transaction(engine) as connection:
            connection.execute(update(Source).where(Source.id == source.id).values(format=choice.named))
    replacer = _Replacer(engine, source, choice, tally, enrichment)
    for number, found in enumerate(clean_ranges(engine, source.id, choice.since)):
        if number % SUMMARISE_RANGES == 0:
            summarise(engine)
        replacer.run(found)
    return tally


def rejected_starts(connection: Connection, found: CleanRange) -> set[int]:
    """Return where the rejected lines of a range start in the source."""
    within = (RejectedLine.line_start >= found.start) & (RejectedLine.line_start < found.end)
    query = select(RejectedLine.line_start).where(RejectedLine.source_id == found.source_id, within)
    return set(connection.scalars(query))


class _Replacer:
    """The replacing of one source's ranges."""

    def __init__(
        self, engine: Engine, source: SourceRow, choice: Choice, tally: Tally, enrichment: Enrichment
    ) -> None:
        self._engine = engine
        self._source = source
        self._choice = choice
        self._tally = tally
        self._store = CleanStore(engine, enrichment)

    def run(self, found: CleanRange) -> None:
        """Replace a range in a transaction of its own, or count why it stays."""
        if self._choice.leaves(found, self._choice.format_of(found, self._source.format)):
            self._tally.skip()
            return
        try:
            counted = self._transaction(found, careful=False)
        except ValuesRefused:
            counted = self._transaction(found, careful=True)
        if counted is not None:
            self._tally.replace(*counted)

    def _transaction(self, found: CleanRange, *, careful: bool) -> tuple[int, set[int], set[int]] | None:
        with transaction(self._engine) as connection:
            return self._replace(connection, found, careful)

    def _replace(
        self, connection: Connection, listed: CleanRange, careful: bool
    ) -> tuple[int, set[int], set[int]] | None:
        found = locked_range(connection, listed.id)
        if found is None:  # a conflict was resolved meanwhile, and its winner parsed
            self._tally.skip()
            return None
        prefer_summaries(connection)
        block = range_bytes(connection, found)
        if block is None:
            self._tally.miss(found)
            return None
        of_source = connection.execute(select(Source.format).where(Source.id == found.source_id)).scalar()
        format_ = self._choice.format_of(found, of_source)
        if self._choice.leaves(found, format_ or recognised(block)):
            self._tally.skip()
            return None
        before = rejected_starts(connection, found)
        take_away(connection, found.source_id, found.start, found.end)
        _delete_rows(connection, found)
        # Without a name it is read as a first ingestion does: what this format rejects, by the others too.
        name = self._choice.named or "auto"
        part = batch.Batch(
            batch.Source(self._source.key, "", self._source.path, format=name), found.start, block
        )
        now = datetime.now(UTC)
        known = Known(found.source_id, self._source.path, format_.name if format_ else of_source)
        self._store.replace(connection, known, Won(found.id, part, found.stored_at), now, careful=careful)
        connection.execute(update(Segment).where(Segment.id == found.id).values(stored_at=now))
        failpoint.reach("replay.committing")
        return part.line_count, before, rejected_starts(connection, found)


def _delete_rows(connection: Connection, found: CleanRange) -> None:
    """Delete the rows of a range; their day leads PostgreSQL to the one partition that holds them."""
    deleted = sum(_delete(connection, found, model, by_day=True) for model in (CleanRecord, RejectedLine))
    if deleted != found.records + found.rejected:
        # Rows under another day would stand beside the new ones.
        for model in (CleanRecord, RejectedLine):
            _delete(connection, found, model, by_day=False)


def _delete(
    connection: Connection, found: CleanRange, model: type[CleanRecord | RejectedLine], *, by_day: bool
) -> int:
    within = (model.line_start >= found.start) & (model.line_start < found.end)
    statement = delete(model).where(model.source_id == found.source_id, within)
    if by_day:
        statement = statement.where(model.stored_on == found.stored_at.astimezone(UTC).date())
    return connection.execute(statement).rowcount
