"""The audit finds what was taken away, doubled or changed behind the ledger's back."""

import pytest
from sqlalchemy import Engine, text

from db import ledger
from db.audit import AuditReport, audit
from db.engine import make_engine, reading, transaction
from db.store import CleanStore, LakeStore
from db.summaries import prefer_summaries, summarise
from pipeline.batch import Batch, Source

KEY = "cd" * 16
LINE = b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "agent"\n'
ODD = b"not a log line\n"
BLOCK = LINE * 4 + ODD


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A database with a source of two segments in each stage."""
    for store in (LakeStore(engine), CleanStore(engine)):
        for number in range(2):
            store.store(Batch(Source(KEY, "web-1", "/log"), number * len(BLOCK), BLOCK))
    return engine


def damage(engine: Engine, statement: str) -> None:
    """Do to the tables what no one should."""
    with transaction(engine) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def figures(report: AuditReport) -> tuple[int, int, int, int]:
    """Return bytes missing, lines missing, lines too many, segments damaged."""
    return (report.missing_bytes, report.missing_lines, report.duplicate_lines, report.damaged_segments)


def test_complete_sources_pass(filled: Engine) -> None:
    """What was stored and left alone is complete."""
    reports = [audit(filled, {KEY: 2 * len(BLOCK)}, deep=deep) for deep in (False, True)]

    assert all(report.complete for report in reports)
    assert reports[0].sources == reports[1].sources
    (source,) = reports[0].sources
    assert {name: stage.stored_lines for name, stage in source.stages.items()} == {"lake": 10, "clean": 10}
    assert (KEY, 2 * len(BLOCK)) == (source.key, source.end)


def test_checkpoint_ahead_is_a_gap(filled: Engine) -> None:
    """Bytes that the checkpoint has confirmed and no stage has stored are missing, in each stage."""
    report = audit(filled, {KEY: 2 * len(BLOCK) + 7, "other": 5})

    assert report.missing_bytes == 2 * 7 + 2 * 5
    assert [source.id for source in report.sources if source.key == "other"] == [None]


def test_clean_behind_lake_is_a_gap(filled: Engine) -> None:
    """A stage that lacks what the other one has is incomplete, even without a checkpoint."""
    LakeStore(filled).store(Batch(Source(KEY, "web-1", "/log"), 3 * len(BLOCK), BLOCK))

    (source,) = audit(filled, None).sources

    end = 2 * len(BLOCK)
    assert [(end, end + len(BLOCK))] == source.stages["lake"].gaps
    assert [(end, end + 2 * len(BLOCK))] == source.stages["clean"].gaps


@pytest.mark.parametrize("table", ["raw_logs", "clean_records", "rejected_lines"])
def test_deleted_rows_are_found(filled: Engine, table: str) -> None:
    """A row that is gone is a missing line, though the ledger says that it is there."""
    damage(filled, f"DELETE FROM {table} WHERE line_start = (SELECT max(line_start) FROM {table})")

    assert figures(audit(filled, None)) == (0, 1, 0, 0)
    assert (0, 1, 0, int(table == "raw_logs")) == figures(audit(filled, None, deep=True))


@pytest.mark.parametrize("stage", ["lake", "clean"])
def test_deleted_segments_are_found(filled: Engine, stage: str) -> None:
    """A segment that is gone is a gap, and its rows are too many."""
    damage(filled, f"DELETE FROM segments WHERE stage = '{stage}' AND start_offset > 0")

    assert (len(BLOCK), 0, 5, 0) == figures(audit(filled, None))
    assert (len(BLOCK), 0, 5, 0) == figures(audit(filled, None, deep=True))


@pytest.mark.parametrize("table", ["raw_logs", "clean_records", "rejected_lines"])
def test_rows_outside_every_segment_are_found(filled: Engine, table: str) -> None:
    """A row at a place that no segment holds is one too many, and its own place lacks it."""
    damage(
        filled,
        f"UPDATE {table} SET line_start = 99999 WHERE line_start = (SELECT max(line_start) FROM {table})",
    )

    report = audit(filled, None, deep=True)

    assert report.duplicate_lines == report.missing_lines == 1


@pytest.mark.parametrize("table", ["raw_logs", "clean_records"])
def test_doubled_rows_are_found(postgresql_url: str, table: str) -> None:
    """A row that stands twice is one line too many; SQLite's key does not let it happen."""
    engine = make_engine(postgresql_url)
    for store in (LakeStore(engine), CleanStore(engine)):
        store.store(Batch(Source(KEY, "web-1", "/log"), 0, BLOCK))
    damage(engine, f"INSERT INTO {table} SELECT * FROM {table} WHERE line_start = 0")

    assert figures(audit(engine, None)) == (0, 0, 1, 0)
    assert figures(audit(engine, None, deep=True)) == (0, 0, 1, int(table == "raw_logs"))
    engine.dispose()


def test_changed_bytes_are_found_by_deep(filled: Engine) -> None:
    """A line of the lake that was changed shows when its segment is compared with its checksum."""
    damage(filled, "UPDATE raw_logs SET line = 'x' WHERE line_start = 0")

    assert audit(filled, None).complete
    report = audit(filled, None, deep=True)
    assert [(0, len(BLOCK))] == report.sources[0].stages["lake"].damaged
    assert not report.complete


def test_ranges_merge_and_gaps_are_cut(filled: Engine) -> None:
    """Neighbours are one range; gaps end where the question ends."""
    LakeStore(filled).store(Batch(Source(KEY, "web-1", "/log"), 1000, ODD))
    end = 2 * len(BLOCK)

    with reading(filled) as connection:
        assert [(0, end), (1000, 1000 + len(ODD))] == ledger.ranges(connection, 1, "lake")
        assert [(end, 999)] == ledger.gaps(connection, 1, "lake", 999)
        assert [(end, 1000), (1000 + len(ODD), 2000)] == ledger.gaps(connection, 1, "lake", 2000)
        assert ledger.gaps(connection, 1, "lake", end - 1) == []
        assert ledger.gaps(connection, 77, "lake", 5) == [(0, 5)]
        assert ledger.overlaps(connection, 1, "lake") == []


def test_segments_are_read_by_their_summaries(postgresql_url: str) -> None:
    """PostgreSQL finds a segment's lines by the block range index, before any ANALYZE."""
    engine = make_engine(postgresql_url)
    block = b"".join(b"%d %s\n" % (number, b"x" * 400) for number in range(2000))
    LakeStore(engine).store(Batch(Source(KEY, "web-1", "/log"), 0, block))
    summarise(engine)

    with reading(engine) as connection:
        prefer_summaries(connection)
        query = "EXPLAIN SELECT line FROM raw_logs WHERE source_id = 1 AND line_start BETWEEN 0 AND 99"
        plan = "\n".join(connection.execute(text(query)).scalars())

    assert "Bitmap Index Scan on raw_logs_" in plan
    engine.dispose()
