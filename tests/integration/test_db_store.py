"""Batches into both stages, on both databases: each byte once, whatever arrives how often."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, text

from db import ledger
from db.audit import audit
from db.conflicts import conflict_block
from db.engine import make_engine, reading, transaction
from db.models import CleanRecord, Conflict, Format, RawLog, RejectedLine, Segment, Source
from db.rebuild import LakeGap, held_bytes, rebuild
from db.sources import list_sources
from db.store import CleanStore, LakeStore, Stored
from pipeline import batch as envelope
from pipeline.batch import Batch
from pipeline.errors import PermanentError
from pipeline.generate import generate_lines

#: Each test with a source of its own name starts at byte 0 of nothing.
KEY = "ab" * 16
LINE = b'203.0.113.9 - jane [17/May/2015:10:05:03 +0200] "GET /a?x=1 HTTP/1.1" 404 2048 "-" "agent"\n'


def make_source(key: str = KEY, path: str = "/var/log/access.log", format_: str = "auto") -> envelope.Source:
    """Return a source."""
    return envelope.Source(key=key, host="web-1", path=path, inode=(1 << 64) - 1, format=format_)


def make_batch(block: bytes = LINE, start: int = 0, key: str = KEY, format_: str = "auto") -> Batch:
    """Return a batch of a source."""
    return Batch(make_source(key, format_=format_), start, block)


def make_block(count: int = 50, seed: int = 1) -> bytes:
    """Return lines of the combined format."""
    return b"".join(line.removesuffix(b"\n") + b"\n" for line in generate_lines(count, seed=seed))


def rebuilt(engine: Engine, source_id: int = 1) -> bytes:
    """Return what the lake holds of a source."""
    return b"".join(rebuild(engine, source_id))


def count_rows(engine: Engine, model: type) -> int:
    """Return the number of rows of a table."""
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(model)).scalar_one()


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


BYTES = st.binary(max_size=8) | st.sampled_from([b"\n", b"\0", b"\xff\n", "é\n".encode(), LINE])


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """Draw a file and ranges of it, cut anywhere, that cover it in some order, some more than once."""
    content = b"".join(draw(st.lists(BYTES, min_size=1, max_size=12))) or b"x"
    cuts = sorted({0, len(content), *draw(st.lists(st.integers(0, len(content)), max_size=5))})
    tiles = [pair for pair in pairwise(cuts) if pair[0] < pair[1]]
    extra = draw(st.lists(st.tuples(st.integers(0, len(content)), st.integers(0, len(content))), max_size=5))
    ranges = tiles + [(min(pair), max(pair)) for pair in extra if pair[0] != pair[1]]
    return content, draw(st.permutations(ranges))


@pytest.fixture(scope="module")
def serial() -> Iterator[int]:
    """Numbers for sources that share a database."""
    return iter(range(1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delivered=deliveries())
def test_any_split_gives_the_file_once(
    engine: Engine, serial: Iterator[int], delivered: tuple[bytes, list[tuple[int, int]]]
) -> None:
    """However a file is cut, repeated and reordered, each stage holds each byte once."""
    content, ranges = delivered
    key = f"{next(serial):032x}"
    lake, clean = LakeStore(engine), CleanStore(engine)
    new = {lake: 0, clean: 0}
    for start, end in ranges:
        for store in (lake, clean):
            stored = store.store(make_batch(content[start:end], start, key, "combined"))
            new[store] += stored.new_bytes
            assert (stored.new_bytes + stored.known_bytes, stored.conflict_bytes) == (end - start, 0)

    assert {lake: len(content), clean: len(content)} == new
    with reading(engine) as connection:
        source_id = connection.execute(select(Source.id).where(Source.key == key)).scalar_one()
        assert [(0, len(content))] == ledger.ranges(connection, source_id, "clean")
    assert content == rebuilt(engine, source_id)


HOSTILE = (
    b"nul\0inside\n",
    b"\xff\xfe not utf-8 \xe9\n",
    b"\xed\xa0\x80 surrogate\n",
    "line\u2028separators\x85\x0b\x0c\r\n".encode(),
    b"\n",
    b"\r\n",
    b"\\N\t\\.\n",
    b"a" * (1 << 20) + b"\n",
    b"\xff" * (1 << 20) + b"\n",
    b"no newline at the end",
)


def test_any_bytes_come_back(engine: Engine) -> None:
    """Lines that are not text, or have no newline, come back from the lake and are kept as rejected lines."""
    lake, clean = LakeStore(engine), CleanStore(engine)
    position = 0
    for block in [*HOSTILE, b"".join(HOSTILE)]:
        count = len(HOSTILE) if block.startswith(HOSTILE[0] + HOSTILE[1]) else 1
        assert lake.store(make_batch(block, position)).lines == count
        assert clean.store(make_batch(block, position)).rejected == count
        position += len(block)

    assert b"".join(HOSTILE) * 2 == rebuilt(engine)
    assert audit(engine, None, deep=True).complete


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
        connection.execute(text("ALTER TABLE raw_logs RENAME TO raw_logs_away"))
    with pytest.raises(Exception, match="raw_logs"):
        store.store(make_batch())
    with transaction(engine) as connection:
        connection.execute(text("ALTER TABLE raw_logs_away RENAME TO raw_logs"))

    # The source has its number: it was given ahead, so that nobody waits for it.
    assert [count_rows(engine, model) for model in (Source, Segment, RawLog)] == [1, 0, 0]
    assert store.store(make_batch(LINE.upper(), key="cd" * 16)).new_bytes == len(LINE)
    assert store.store(make_batch()).new_bytes == len(LINE)
    assert [source.key for source in list_sources(engine)] == [KEY, "cd" * 16]


@pytest.mark.parametrize("damage", ["DELETE FROM raw_logs WHERE line_start = 0", "DELETE FROM raw_logs"])
def test_rebuild_stops_where_rows_are_missing(engine: Engine, damage: str) -> None:
    """A segment whose rows are not its bytes is named, and nothing stands in its place."""
    LakeStore(engine).store(make_batch(LINE * 3))
    with transaction(engine) as connection:
        connection.execute(text(damage))

    with pytest.raises(LakeGap) as caught:
        rebuilt(engine)
    assert caught.value.missing == [(0, 3 * len(LINE))]
    with reading(engine) as connection:
        assert held_bytes(connection, 1, len(LINE), 2 * len(LINE)) is None


def test_rebuild_refuses_a_gap(engine: Engine) -> None:
    """A range with a missing byte is refused before anything is given, naming what is missing."""
    store = LakeStore(engine)
    store.store(make_batch(LINE, start=0))
    store.store(make_batch(LINE, start=2 * len(LINE)))

    with pytest.raises(LakeGap) as caught:
        next(rebuild(engine, 1))

    assert [(len(LINE), 2 * len(LINE))] == caught.value.missing
    assert LINE[5:] == b"".join(rebuild(engine, 1, 5, len(LINE)))


def test_concurrent_deliveries_store_each_byte_once(engine: Engine) -> None:
    """Eight stores with overlapping batches of one file at the same time: each byte once, no error."""
    block = make_block(200)
    cuts = [block.index(b"\n", len(block) * part // 20) + 1 for part in range(19)]
    ranges = [(low, high) for low in cuts[::2] for high in cuts[1::3] if low < high]

    def deliver(number: int) -> int:
        own = make_engine(engine.url.render_as_string(hide_password=False))
        store = LakeStore(own)
        ordered = ranges[number:] + ranges[:number]
        total = sum(store.store(make_batch(block[low:high], low)).new_bytes for low, high in ordered)
        own.dispose()
        return total

    with ThreadPoolExecutor(8) as pool:
        new = sum(pool.map(deliver, range(8)))

    low, high = min(ranges)[0], max(high for _, high in ranges)
    assert high - low == new
    assert block[low:high] == b"".join(rebuild(engine, 1, low, high))
    assert audit(engine, None, deep=True).duplicate_lines == 0


def _store_in_child(engine: Engine, start: int) -> None:
    assert LakeStore(engine).store(make_batch(LINE, start)).new_bytes == len(LINE)


def test_forked_children_share_no_connection(engine: Engine) -> None:
    """Children of a fork use the parent's engine with connections of their own, and the parent goes on."""
    store = LakeStore(engine)
    store.store(make_batch())
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_store_in_child, args=(engine, n * len(LINE))) for n in range(1, 5)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0] * 4
    assert store.store(make_batch(LINE, 5 * len(LINE))).lines == 1
    assert rebuilt(engine) == LINE * 6


def test_sqlite_guards_the_ledger_itself(sqlite_url: str, tmp_path: Path) -> None:
    """SQLite refuses a segment that overlaps another one, whoever writes it."""
    engine = make_engine(sqlite_url)
    LakeStore(engine).store(make_batch(LINE * 3, start=100))
    copy = text(
        "INSERT INTO segments SELECT 9, source_id, stage, :start, :end, checksum, 1, 1, 0, NULL, batch_id, "
        "stored_at, FALSE, NULL FROM segments WHERE id = 1"
    )
    for start, end in ((0, 101), (150, 151), (50, 9999), (100 + 3 * len(LINE) - 1, 9999)):
        with pytest.raises(Exception, match="segments overlap"), transaction(engine) as connection:
            connection.execute(copy, {"start": start, "end": end})
    with transaction(engine) as connection:
        connection.execute(copy, {"start": 0, "end": 100})
    engine.dispose()
