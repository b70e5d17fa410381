"""Batches into both stages, on both databases: each byte once, whatever arrives how often."""

import pytest
from sqlalchemy import Engine, select, text

from db.audit import audit
from db.conflicts import conflict_block
from db.engine import reading, transaction
from db.models import CleanRecord, Conflict, Format, RawLog, RejectedLine, Segment, Source
from db.sources import list_sources
from db.store import CleanStore, LakeStore, Stored
from pipeline.batch import Batch
from pipeline.errors import PermanentError
from tests.integration.storing import KEY, LINE, count_rows, make_batch, make_block, make_source, rebuilt


def test_a_batch_is_stored_once(engine: Engine) -> None:
    """The same batch twice stores its lines once, in each stage, and says what it did."""
    block = make_block(20)
    for store in (LakeStore(engine), CleanStore(engine)):
        first, second = (store.store(make_batch(block)) for _ in range(2))

        assert Stored(lines=20, records=20, new_bytes=len(block)) == first
        assert Stored(known_bytes=len(block)) == second
    assert block == rebuilt(engine)
    assert audit(engine, {KEY: len(block)}, deep=True).complete


def test_a_second_process_knows_what_the_first_stored(engine: Engine) -> None:
    """What is stored is in the database, not in the memory of a store."""
    CleanStore(engine).store(make_batch())

    assert CleanStore(engine).store(make_batch()).known_bytes == len(LINE)


def test_a_format_that_is_not_known_fails_its_batch_alone(engine: Engine) -> None:
    """Waiting would not change the batch: it is a permanent error, and nothing of it is stored."""
    store = CleanStore(engine)

    with pytest.raises(PermanentError, match="newer"):
        store.store(make_batch(format_="newer"))
    assert count_rows(engine, Segment) == 0
    assert store.store(make_batch()).records == 1


def test_empty_batches_store_nothing(engine: Engine) -> None:
    """A batch without bytes leaves no trace."""
    assert Stored() == LakeStore(engine).store(make_batch(b""))
    assert count_rows(engine, Source) == 0


@pytest.mark.parametrize("stage", [LakeStore, CleanStore])
def test_overlap_is_trimmed_to_what_is_missing(engine: Engine, stage: type[LakeStore | CleanStore]) -> None:
    """A batch around a stored range stores what stands before and after it."""
    store = stage(engine)
    store.store(make_batch(LINE, start=len(LINE)))

    stored = store.store(make_batch(LINE * 3))

    assert Stored(lines=2, records=2, new_bytes=2 * len(LINE), known_bytes=len(LINE)) == stored
    assert audit(engine, None, deep=True).duplicate_lines == 0


def test_rejected_lines_keep_their_reason(engine: Engine) -> None:
    """One line that does not parse is set apart with its place and reason; its neighbours are records."""
    stored = CleanStore(engine).store(make_batch(LINE + b"not a log line\0\n" + LINE))

    assert Stored(lines=3, records=2, rejected=1, new_bytes=2 * len(LINE) + 16) == stored
    with reading(engine) as connection:
        row = connection.execute(select(RejectedLine.__table__)).one()
        starts = connection.execute(select(CleanRecord.line_start).order_by(CleanRecord.line_start))
        assert [0, len(LINE) + 16] == list(starts.scalars())
    assert (len(LINE), "not a log line\\x00", b"not a log line\0\n") == (
        row.line_start,
        row.line,
        bytes(row.raw),
    )
    assert row.reason.startswith("expected")


def test_format_is_recognised_and_remembered(engine: Engine) -> None:
    """The first block that shows a format settles it for the source; a block that shows none does not."""
    store = CleanStore(engine)
    store.store(make_batch(b"noise\n"))
    assert [source.format for source in list_sources(engine)] == [None]

    store.store(make_batch(LINE, start=6))
    later = CleanStore(engine).store(make_batch(b"noise\n" * 3, start=6 + len(LINE)))

    assert [source.format for source in list_sources(engine)] == ["combined"]
    assert later.rejected == 3
    assert count_rows(engine, Format) == 1


def test_conflicts_are_kept_apart(engine: Engine) -> None:
    """Other bytes for a stored range change nothing, are kept once, and are counted each time they come."""
    block = make_block(10)
    other = block.replace(b"/", b"|", 1)
    store = LakeStore(engine)
    store.store(make_batch(block))

    results = [store.store(make_batch(other)) for _ in range(2)]

    assert [Stored(conflict_bytes=len(block))] * 2 == results
    assert block == rebuilt(engine)
    with reading(engine) as connection:
        row = connection.execute(select(Conflict.__table__)).one()
    assert other == conflict_block(row)
    assert audit(engine, None).conflicts == 1


def test_conflict_inside_a_segment_is_seen(engine: Engine) -> None:
    """Bytes that contradict a part of a segment are compared with the lake's rows."""
    store = LakeStore(engine)
    store.store(make_batch(LINE * 4))

    same = store.store(make_batch(LINE * 2, start=len(LINE)))
    other = store.store(make_batch(LINE + LINE.upper() + LINE * 3, start=len(LINE)))

    assert Stored(known_bytes=2 * len(LINE)) == same
    assert Stored(lines=2, records=2, new_bytes=2 * len(LINE), conflict_bytes=3 * len(LINE)) == other
    assert rebuilt(engine) == LINE * 6


def test_rename_updates_the_path(engine: Engine) -> None:
    """A batch under another path renames its source; bytes of a path that are not UTF-8 stay readable."""
    store = LakeStore(engine)
    store.store(make_batch(LINE))
    store.store(Batch(make_source(path="/var/log/access\udcff.log.1"), len(LINE), LINE))

    (source,) = list_sources(engine)

    assert (source.path, source.inode) == ("/var/log/access\\xff.log.1", (1 << 64) - 1)
    assert (2 * len(LINE), 0) == (source.lake_bytes, source.clean_bytes)


def test_rollback_leaves_nothing(engine: Engine) -> None:
    """A load that fails leaves neither rows nor segment, and the store works afterwards."""
    store = LakeStore(engine)
    with transaction(engine) as connection:
        connection.execute(text("ALTER TABLE raw_logs RENAME COLUMN line TO away"))
    with pytest.raises(Exception, match="line"):
        store.store(make_batch())
    with transaction(engine) as connection:
        connection.execute(text("ALTER TABLE raw_logs RENAME COLUMN away TO line"))

    # The source has its number: it was given ahead, so that nobody waits for it.
    assert [count_rows(engine, model) for model in (Source, Segment, RawLog)] == [1, 0, 0]
    assert store.store(make_batch(LINE.upper(), key="cd" * 16)).new_bytes == len(LINE)
    assert store.store(make_batch()).new_bytes == len(LINE)
    assert [source.key for source in list_sources(engine)] == [KEY, "cd" * 16]
