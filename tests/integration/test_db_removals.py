"""Ranges removed on purpose, on both databases: gone for good, and every proof knows it."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from db import removals
from db.archive.backup import backup
from db.archive.container import Archive, ArchiveWriter
from db.archive.merge import merge
from db.archive.restore import restore
from db.audit import AuditReport, audit
from db.cleaned import Choice
from db.counting import take_away
from db.difference import preview
from db.engine import reading, transaction
from db.export import Selection, lake_table
from db.ledger import CLEAN, LAKE, Range
from db.models import CleanRecord, RejectedLine
from db.rebuild import LakeGap, held_pieces, rebuild
from db.removals import Kind, Place, RangeRemoved, Sums
from db.removing import Reason, Removed, remove
from db.replay import replay
from db.resolve import Keep, contradictions, resolve
from db.slices import Order, replay_slice
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from db.traffic import TrafficMinute
from pipeline.batch import Batch, Source
from pipeline.cli.totals import totals
from tests.integration.changed_format import SetFormat, raised
from tests.recount import differences

KEY = "cd" * 16
SOURCE = Source(KEY, "web-1", "/log", format="combined")
LINE = b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "agent"\n'
ODD = b"not \xff a log line\n"
#: Two lines, one that does not parse, two lines.
BLOCK = LINE * 2 + ODD + LINE * 2
SIZE, STEP = len(BLOCK), len(LINE)
END = 3 * SIZE
#: Of the second segment: its second line, and the one that does not parse.
SECOND = (SIZE + STEP, SIZE + 2 * STEP)
THIRD = (SIZE + 2 * STEP, SIZE + 2 * STEP + len(ODD))
#: The third segment.
WHOLE = (2 * SIZE, END)
RECEIPT = uuid.UUID(int=7)


def store(engine: Engine, start: int, block: bytes) -> int:
    """Store a block in both stages; return how many bytes were new or in conflict."""
    both = [stage(engine).store(Batch(SOURCE, start, block)) for stage in (LakeStore, CleanStore)]
    return sum(stored.new_bytes + stored.conflict_bytes for stored in both)


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with a source of three segments in each stage."""
    for number in range(3):
        store(engine, number * SIZE, BLOCK)
    return engine


def taken(engine: Engine, stage: str, *wanted: Range, kind: Kind = Kind.ERASURE) -> list[Removed]:
    """Remove ranges of a stage."""
    receipt = RECEIPT if kind is Kind.ERASURE else None
    with transaction(engine) as connection:
        return remove(connection, Place(1, stage), wanted, Reason(kind, datetime.now(UTC), receipt))


def both_taken(engine: Engine, *wanted: Range) -> None:
    """Remove ranges of both stages."""
    for stage in (LAKE, CLEAN):
        taken(engine, stage, *wanted)


def figures(report: AuditReport) -> tuple[int, int, int, int]:
    """Return bytes missing, lines missing, lines too many, segments damaged."""
    return (report.missing_bytes, report.missing_lines, report.duplicate_lines, report.damaged_segments)


def damage(engine: Engine, statement: str) -> None:
    """Do to the tables what no one should."""
    with transaction(engine) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def test_what_is_removed_is_gone_and_accounted_for(filled: Engine) -> None:
    """The rows are deleted and nothing else; the audit stays complete and says how much is gone, and why."""
    assert taken(filled, LAKE, SECOND, THIRD) == [Removed(*SECOND, 1), Removed(*THIRD, 1)]
    assert taken(filled, CLEAN, (SECOND[0], THIRD[1])) == [Removed(SECOND[0], THIRD[1], 2)]
    assert taken(filled, CLEAN, WHOLE, kind=Kind.RETENTION) == [Removed(*WHOLE, 5)]

    for deep in (False, True):
        report = audit(filled, {KEY: END}, deep=deep)
        assert report.complete
        size = THIRD[1] - SECOND[0]
        assert report.removed(LAKE) == {"erasure": Sums(size, 2)}
        assert report.removed(CLEAN) == {"erasure": Sums(size, 2), "retention": Sums(SIZE, 5)}
        stages = report.sources[0].stages
        assert (stages[LAKE].stored_lines, stages[CLEAN].stored_lines) == (13, 8)
    assert totals(filled, {KEY: END}).missing_lines == 0
    with reading(filled) as connection:
        kept = connection.scalars(
            select(CleanRecord.line_start).where(CleanRecord.within(1, SIZE, END)).order_by("line_start")
        )
        assert list(kept) == [SIZE, THIRD[1], THIRD[1] + STEP]
        assert connection.execute(select(func.count()).select_from(RejectedLine)).scalar() == 1
        receipts = select(removals.Removal.kind, removals.Removal.receipt_id).distinct()
        assert {tuple(row) for row in connection.execute(receipts)} == {
            ("erasure", RECEIPT),
            ("retention", None),
        }


def test_a_range_is_removed_once(filled: Engine) -> None:
    """What is gone already is not counted again; a later removal of the whole takes the rest."""
    taken(filled, LAKE, SECOND)

    assert taken(filled, LAKE, SECOND) == []
    rest = taken(filled, LAKE, (0, END), kind=Kind.RETENTION)

    assert [(part.start, part.end, part.line_count) for part in rest] == [
        (0, SIZE, 5),
        (SIZE, SECOND[0], 1),
        (SECOND[1], 2 * SIZE, 3),
        (2 * SIZE, END, 5),
    ]
    report = audit(filled, {KEY: END}, deep=True)
    assert report.complete
    assert report.removed(LAKE) == {"erasure": Sums(STEP, 1), "retention": Sums(END - STEP, 14)}


def test_what_is_not_stored_is_not_removed(filled: Engine) -> None:
    """A range behind the stored one stays a range to be stored."""
    assert taken(filled, LAKE, (END, END + STEP)) == []
    assert store(filled, END, LINE) == 2 * STEP


@pytest.mark.parametrize("table", ["raw_logs", "clean_records", "rejected_lines"])
def test_a_row_that_is_gone_without_a_removal_is_missing(filled: Engine, table: str) -> None:
    """Removals of a source do not cover for a row that somebody else took, nor one that came back."""
    both_taken(filled, SECOND, WHOLE)
    damage(filled, f"DELETE FROM {table} WHERE line_start = (SELECT min(line_start) FROM {table})")

    assert figures(audit(filled, None)) == (0, 1, 0, 0)
    assert figures(audit(filled, None, deep=True)) == (0, 1, 0, int(table == "raw_logs"))


@pytest.mark.parametrize("place", [SECOND[0], WHOLE[0]])
def test_a_removed_row_that_is_back_is_too_many(filled: Engine, place: int) -> None:
    """A line in a removed range is found, also where another one is missing instead."""
    both_taken(filled, SECOND, WHOLE)
    damage(filled, f"UPDATE raw_logs SET line_start = {place} WHERE line_start = 0")

    assert figures(audit(filled, None)) == (0, 0, 0, 0)
    found = audit(filled, None, deep=True)
    assert (found.missing_lines, found.duplicate_lines) == (1, 1)


def test_changed_bytes_beside_a_removed_line_are_found(filled: Engine) -> None:
    """What is left of a segment has a checksum of its own."""
    both_taken(filled, SECOND)
    both_taken(filled, THIRD)
    assert audit(filled, None, deep=True).complete
    damage(filled, f"UPDATE raw_logs SET line = 'x' WHERE line_start = {SIZE}")

    assert audit(filled, None, deep=True).sources[0].stages[LAKE].damaged == [(SIZE, 2 * SIZE)]


def test_the_source_is_rebuilt_with_blanks_or_not_at_all(filled: Engine) -> None:
    """Without being told a rebuild names the ranges; with blanks every other byte keeps its place."""
    both_taken(filled, SECOND, WHOLE)
    whole = BLOCK * 3

    with pytest.raises(RangeRemoved, match=rf"\[{SECOND[0]}, {SECOND[1]}\), \[{WHOLE[0]}, {WHOLE[1]}\)"):
        next(rebuild(filled, 1))
    blanked = b"".join(rebuild(filled, 1, blank=True))
    pieces = list(held_pieces(filled, 1, 0, END))

    assert len(blanked) == END
    assert blanked[: SECOND[0]] == whole[: SECOND[0]]
    assert blanked[slice(*SECOND)] == b" " * (STEP - 1) + b"\n"
    assert blanked[SECOND[1] : WHOLE[0]] == whole[SECOND[1] : WHOLE[0]]
    assert blanked[slice(*WHOLE)] == b" " * (SIZE - 1) + b"\n"
    assert pieces == [
        (0, BLOCK),
        (SIZE, whole[SIZE : SECOND[0]]),
        (SECOND[1], whole[SECOND[1] : WHOLE[0]]),
    ]
    assert b"".join(rebuild(filled, 1, 5, SECOND[0])) == whole[5 : SECOND[0]]


def test_a_redelivery_brings_nothing_back(filled: Engine) -> None:
    """The ledger still has the ranges: the same batch, or one with other bounds, stores and keeps nothing."""
    both_taken(filled, SECOND, WHOLE)

    assert store(filled, SIZE, BLOCK) == store(filled, 2 * SIZE, BLOCK) == 0
    assert store(filled, SIZE, BLOCK + BLOCK) == store(filled, SIZE + STEP, LINE) == 0
    report = audit(filled, {KEY: END}, deep=True)
    assert report.complete
    assert report.removed(CLEAN)["erasure"].lines == 6


def test_a_replay_leaves_what_is_removed(filled: Engine) -> None:
    """Erased lines stay erased, the others are read again; what the lake dropped keeps its records."""
    both_taken(filled, SECOND)
    taken(filled, LAKE, WHOLE, kind=Kind.RETENTION)
    (source,) = list_sources(filled)

    planned = preview(filled, source, Choice(redo=True)).tally
    tally = replay(filled, source, Choice(redo=True))

    assert planned == tally
    assert (tally.replaced, tally.removed, tally.unavailable) == (2, 1, 0)
    assert (tally.lines, tally.records, tally.rejected) == (9, 7, 2)
    assert audit(filled, {KEY: END}, deep=True).complete


def test_a_replay_around_a_removed_line_counts_both_sides(filled: Engine) -> None:
    """What is left before and behind an erased line is in the counts for reports, once."""
    assert differences(filled, [1]) == []
    with transaction(filled) as connection:
        take_away(connection, 1, SIZE, 2 * SIZE)
    both_taken(filled, SECOND)
    (source,) = list_sources(filled)

    replay(filled, source, Choice(redo=True))

    assert differences(filled, [1]) == []
    with reading(filled) as connection:
        counted = select(func.sum(TrafficMinute.hits)).where(TrafficMinute.source_id == 1)
        assert connection.execute(counted).scalar_one() == 11


def test_a_replay_skips_what_clean_has_dropped(filled: Engine) -> None:
    """Records that are removed do not come back from a lake that still has their bytes."""
    taken(filled, CLEAN, THIRD, WHOLE, kind=Kind.RETENTION)
    (source,) = list_sources(filled)

    tally = replay(filled, source, Choice(redo=True))

    assert (tally.replaced, tally.removed, tally.rejected) == (2, 1, 1)
    report = audit(filled, {KEY: END}, deep=True)
    assert report.complete
    assert report.removed(CLEAN)["retention"] == Sums(SIZE + len(ODD), 6)


@pytest.mark.parametrize(
    ("removed", "read_again"),
    [
        ([(LAKE, (SIZE - STEP, SIZE + STEP))], 1),  # a part of two segments
        ([(LAKE, (SIZE, END))], 1),
        ([(CLEAN, (0, SIZE))], 2),
        ([(CLEAN, THIRD), (CLEAN, (0, STEP))], 3),
    ],
)
def test_a_risen_version_reads_what_is_there(
    filled: Engine, removed: list[tuple[str, Range]], read_again: int, formats: SetFormat
) -> None:
    """The replay that nobody asked for looks at no segment that retention has taken bytes of, and ends."""
    for stage, place in sorted(removed, key=lambda each: each[1]):
        taken(filled, stage, place, kind=Kind.RETENTION)
    formats(raised())
    store_, order = CleanStore(filled), Order(Choice(risen=True))

    done = replay_slice(filled, store_, order, seconds=60).tally
    again = replay_slice(filled, store_, order, seconds=60).tally

    assert (done.replaced, done.removed, done.unavailable) == (read_again, 0, 0)
    assert again.ranges == 0
    assert audit(filled, {KEY: END}, deep=True).complete


def test_a_conflict_does_not_put_anything_in_a_removed_place(filled: Engine) -> None:
    """Other bytes for a segment with a removed part cannot replace it; the first can still be kept."""
    other = b"x" * (SIZE - 1) + b"\n"
    assert store(filled, SIZE, other) == 2 * SIZE
    both_taken(filled, SECOND)
    first = next(contradictions(filled))

    with pytest.raises(RangeRemoved, match="keep the first"):
        resolve(filled, first.id, Keep.SECOND)
    resolve(filled, first.id, Keep.FIRST)

    assert audit(filled, {KEY: END}, deep=True).complete


def test_an_export_has_what_is_left(filled: Engine) -> None:
    """The lake's export goes round removed lines, and still refuses a hole that nobody made on purpose."""
    both_taken(filled, SECOND, WHOLE)

    with lake_table(filled, Selection()) as table:
        starts = [start for chunk in table.chunks for start in chunk[1]]

    rest = [2 * STEP, 2 * STEP + len(ODD), 3 * STEP + len(ODD)]
    assert starts == [0, STEP, *rest, SIZE, *(SIZE + start for start in rest)]
    damage(filled, "DELETE FROM raw_logs WHERE line_start = 0")
    with pytest.raises(LakeGap), lake_table(filled, Selection()) as table:
        list(table.chunks)


def test_a_backup_has_removals_too(filled: Engine, tmp_path: Path) -> None:
    """Restored, the audit is as before; merged into another database, only what was left comes."""
    both_taken(filled, SECOND, WHOLE)
    path = tmp_path / "backup.zip"
    with path.open("wb") as file:
        backup(filled, ArchiveWriter(file))
    before = audit(filled, {KEY: END}, deep=True)
    wipe(filled)

    with Archive(path) as archive:
        restore(filled, archive)
        assert audit(filled, {KEY: END}, deep=True) == before
        wipe(filled)
        merged = merge(filled, archive, None, None)

    assert merged.new_bytes == 2 * (2 * SIZE - STEP)
    report = audit(filled, None, deep=True)
    assert (report.missing_bytes, report.duplicate_lines, report.damaged_segments) == (2 * STEP, 0, 0)


def wipe(engine: Engine) -> None:
    """Empty the tables that an archive fills."""
    tables = ("removals", "segments", "raw_logs", "clean_records", "rejected_lines", "conflicts", "sources")
    with transaction(engine) as connection:
        for table in (*tables, "formats"):
            connection.execute(text(f"DELETE FROM {table}"))
