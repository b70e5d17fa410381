"""Replays, conflicts, exports and backups of a source with removed ranges, on both databases."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from db.archive.backup import backup
from db.archive.container import Archive, ArchiveWriter
from db.archive.merge import merge
from db.archive.restore import restore
from db.audit import audit
from db.cleaned import Choice
from db.counting import take_away
from db.difference import preview
from db.engine import reading, transaction
from db.export import Selection, lake_table
from db.ledger import CLEAN, LAKE, Range
from db.rebuild import LakeGap
from db.removals import Kind, RangeRemoved, Sums
from db.replay import replay
from db.resolve import Keep, contradictions, resolve
from db.slices import Order, replay_slice
from db.sources import list_sources
from db.store import CleanStore
from db.traffic import TrafficMinute
from tests.integration.changed_format import SetFormat, raised
from tests.integration.removing import (
    END,
    KEY,
    ODD,
    SECOND,
    SIZE,
    STEP,
    THIRD,
    WHOLE,
    both_taken,
    damage,
    store,
    taken,
)
from tests.recount import differences


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
