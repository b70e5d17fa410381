"""One batch into one stage, in one transaction: segment and rows, or nothing; numbers are given ahead."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from db import ledger
from db.careful import load_carefully
from db.conflicts import keep_conflicts
from db.engine import transaction
from db.faults import ValuesRefused
from db.lanes import Lane, Tables
from db.ledger import CLEAN, LAKE, Won
from db.load import Part, Shape, loader_of
from db.recognition import agreed, format_of, named, shown
from db.sources import Catalogue, Known
from pipeline import failpoint
from pipeline.batch import Batch
from pipeline.enrich.enrichment import NOTHING, Enrichment
from pipeline.enrich.parsers import Parsers
from pipeline.formats.line import LogFormat
from pipeline.formats.parse import Rejected, collector_paused


@dataclass(frozen=True, slots=True)
class Stored:
    """What one call stored; `new_bytes + known_bytes + conflict_bytes` is the size of the batch.

    Attributes:
        lines: new lines, `records + rejected`.
        records: new rows in raw_logs or clean_records.
        rejected: new rows in rejected_lines.
        new_bytes: stored by this call.
        known_bytes: stored before, with the same bytes where they could be compared.
        conflict_bytes: stored before with other bytes; this batch's are kept in `conflicts`.
    """

    lines: int = 0
    records: int = 0
    rejected: int = 0
    new_bytes: int = 0
    known_bytes: int = 0
    conflict_bytes: int = 0


class _Store:
    """What both stages share: claim, load what was won, compare what was not."""

    stage: str

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loader = loader_of(engine.dialect.name)
        self._catalogue = Catalogue()
        self._lane = Lane(self.stage, engine.dialect.name)

    def store(self, batch: Batch) -> Stored:
        """Store whatever of the batch this stage has not; a second call with the same batch stores nothing.

        Raises:
            DatabaseUnavailable: nothing is stored, try again later.
            ConfigurationError: the schema is behind.
            PermanentError: the batch names a format that this version does not know.
        """
        if not batch.block:
            return Stored()
        with collector_paused():
            self._prepare(batch)
            try:
                return self._store(batch, careful=False)
            except ValuesRefused:
                return self._store(batch, careful=True)

    def _store(self, batch: Batch, *, careful: bool) -> Stored:
        with transaction(self._engine) as connection:
            stored = self.within(connection, batch, careful=careful)
        self._catalogue.keep()
        return stored

    def _prepare(self, batch: Batch) -> None:
        """Do ahead of the transaction what others would wait for: number what is new."""
        if self._catalogue.known(batch.source) is None:
            self._number(lambda connection: self._catalogue.source(connection, batch.source))

    def _number(self, find: Callable[[Connection], object]) -> None:
        """Find or add a number in a transaction of its own: whoever wants the same waits no longer."""
        self._catalogue.forget()
        with transaction(self._engine) as connection:
            find(connection)
        self._catalogue.keep()

    def within(self, connection: Connection, batch: Batch, *, careful: bool = False) -> Stored:
        """Store a batch as part of the caller's transaction, which rolls back on any error.

        Raises:
            ValuesRefused: the database refuses a value; with `careful` its line is rejected instead.
        """
        self._catalogue.forget()
        now = datetime.now(UTC)
        known = self._catalogue.source(connection, batch.source)
        claim = ledger.claim(connection, known.id, self.stage, batch, now)
        failpoint.reach(f"{self.stage}.claimed")
        rejected = sum(self._load(connection, known, won, now, careful) for won in claim.won)
        failpoint.reach(f"{self.stage}.loaded")
        conflict = keep_conflicts(connection, known.id, self.stage, batch, claim.known, now=now)
        failpoint.reach(f"{self.stage}.committing")
        lines = sum(won.batch.line_count for won in claim.won)
        new = sum(len(won.batch.block) for won in claim.won)
        return Stored(lines, lines - rejected, rejected, new, len(batch.block) - new - conflict, conflict)

    def _load(self, connection: Connection, known: Known, won: Won, now: datetime, careful: bool) -> int:
        """Load a part and return how many of its lines were rejected."""
        raise NotImplementedError


class LakeStore(_Store):
    """The lake: every line, byte for byte."""

    stage = LAKE

    def _load(self, connection: Connection, known: Known, won: Won, now: datetime, careful: bool) -> int:  # noqa: ARG002
        part = Part(known.id, won.batch.start, won.batch.block, now.date())
        self._loader.load_lines(self._lane.enter(connection, part.day), part)
        return 0


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A part in the form that the loader takes: rows by piece, and the lines that do not parse.

    `at` is the moment at which its bytes were stored first: it serves times without a year.
    """

    part: Part
    format: LogFormat
    at: datetime
    shape: Shape
    rows: list[Any]
    rejected: list[Rejected]
    tally: bytes


class CleanStore(_Store):
    """The clean stage: typed records, and the lines that do not parse with their reasons.

    A batch is parsed before its transaction begins, as far as source and format are known: so no lock is held
    meanwhile, of which SQLite has a single one for all writers.
    """

    stage = CLEAN

    def __init__(self, engine: Engine, enrichment: Enrichment = NOTHING) -> None:
        super().__init__(engine)
        self._parsers: Parsers[Any] = Parsers(
            enrichment, self._loader.encode, as_bytes=self._loader.encodes_to_bytes
        )
        self._ahead: _Parsed | None = None
        # Imported by who stores records: numpy takes 0.2 s and 16 MiB, and every process imports this module.
        from db.tally import Counter  # noqa: PLC0415

        self._counter = Counter(self._loader)

    def replace(
        self, connection: Connection, known: Known, won: Won, now: datetime, *, careful: bool = False
    ) -> int:
        """Load a standing segment whose rows the caller has deleted; return how many lines were rejected.

        Raises:
            ValuesRefused: the database refuses a value; with `careful` its line is rejected instead.
        """
        self._catalogue.forget()
        return self._load(connection, known, won, now, careful)

    def _prepare(self, batch: Batch) -> None:
        named(batch)  # before a source has it
        is_new = self._catalogue.known(batch.source) is None
        super()._prepare(batch)
        if is_new:
            self._number_format(batch)
        self._ahead = None
        known = self._catalogue.known(batch.source)
        format_ = None if known is None else format_of(batch, known)
        format_id = None if format_ is None else self._catalogue.known_format_id(format_)
        if known is not None and format_ is not None and format_id is not None:
            now = datetime.now(UTC)
            part = Part(known.id, batch.start, batch.block, now.date())
            self._ahead = self._parse(part, format_, format_id, now)

    def _number_format(self, batch: Batch) -> None:
        known = self._catalogue.known(batch.source)
        assert known is not None, "it was numbered just before"
        has = format_of(batch, known) or shown(batch)  # before the transaction: it takes a while

        def find(connection: Connection) -> None:
            format_ = agreed(connection, self._catalogue, known, batch, has)
            self._catalogue.format_id(connection, format_)

        self._number(find)

    def _parse(self, part: Part, format_: LogFormat, format_id: int, at: datetime) -> _Parsed:
        parser = self._parsers.in_pieces(format_)
        shape = Shape(format_id, parser.format.columns)
        rows: list[Any] = []
        rejected: list[Rejected] = []
        pieces = []
        with collector_paused():
            for piece in parser.pieces(part.block, part.start, at):
                if piece.record_count:
                    rows.append(self._loader.records(part, shape, piece))
                    pieces.append(piece)
                rejected += piece.rejected
            tally = self._counter.count(shape, pieces, rows)
        return _Parsed(part, format_, at, shape, rows, rejected, tally)

    def _load(self, connection: Connection, known: Known, won: Won, now: datetime, careful: bool) -> int:
        has = format_of(won.batch, known) or shown(won.batch)
        format_ = agreed(connection, self._catalogue, known, won.batch, has)
        format_id = self._catalogue.format_id(connection, format_)
        part = Part(known.id, won.batch.start, won.batch.block, now.date())
        parsed, self._ahead = self._ahead, None
        if parsed is None or parsed.part != part or parsed.shape.format_id != format_id:
            parsed = self._parse(part, format_, format_id, won.stored_at or now)
        tables = self._lane.enter(connection, part.day)
        rejected = self._load_records(tables, parsed, careful)
        tally = [parsed.tally]
        if parsed.rejected:
            mixed = won.batch.source.format == "auto"
            rejected += self._load_rest(tables, parsed, mixed, careful, tally)
        if rejected:
            self._loader.load_rejected(tables, part, format_id, rejected)
        # What the database refused is counted above all the same: then SQL counts what it did not.
        counted = None if careful else self._counter.joined(tally)
        ledger.settle(connection, won.segment_id, format_id, len(rejected), counted)
        return len(rejected)

    def _load_records(self, tables: Tables, parsed: _Parsed, careful: bool) -> list[Rejected]:
        """Load the accepted lines; return those that the database refuses."""
        if not careful:
            if parsed.rows:
                self._loader.load_records(tables, parsed.shape, parsed.rows)
            return []
        part, parser = parsed.part, self._parsers.in_pieces(parsed.format)
        shape = Shape(parsed.shape.format_id, parser.format.columns)
        pieces = parser.pieces(part.block, part.start, parsed.at)
        return [line for piece in pieces for line in load_carefully(self._loader, tables, part, shape, piece)]

    def _load_rest(
        self, tables: Tables, parsed: _Parsed, mixed: bool, careful: bool, tally: list[bytes]
    ) -> list[Rejected]:
        """Load what of the rejected lines is a partial record or one of another format; return the others.

        What they add to the counts is appended to `tally`.
        """
        rest = self._parsers.rest().read(parsed.format, parsed.rejected, mixed=mixed, at=parsed.at)
        refused: list[Rejected] = []
        for recovered in rest.recovered:
            shape = Shape(self._catalogue.format_id(tables.connection, recovered.format), recovered.columns)
            if careful:
                refused += load_carefully(self._loader, tables, parsed.part, shape, recovered.lines)
            else:
                rows = self._loader.records(parsed.part, shape, recovered.lines)
                self._loader.load_records(tables, shape, [rows])
                tally.append(self._counter.count(shape, [recovered.lines], [rows]))
        return rest.rejected + refused
