"""Ranges removed on purpose, on both databases: gone for good, and every proof knows it."""

import pytest
from sqlalchemy import Engine, func, select

from db import removals
from db.audit import AuditReport, audit
from db.engine import reading
from db.ledger import CLEAN, LAKE
from db.models import CleanRecord, RejectedLine
from db.rebuild import held_pieces, rebuild
from db.removals import Kind, RangeRemoved, Sums
from db.removing import Removed
from pipeline.cli.totals import totals
from tests.integration.removing import (
    BLOCK,
    END,
    KEY,
    LINE,
    RECEIPT,
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


def figures(report: AuditReport) -> tuple[int, int, int, int]:
    """Return bytes missing, lines missing, lines too many, segments damaged."""
    return (report.missing_bytes, report.missing_lines, report.duplicate_lines, report.damaged_segments)


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
