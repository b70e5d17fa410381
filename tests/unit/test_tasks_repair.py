"""Repair: what a stage misses is published again, to that stage alone, from wherever it still is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, update

from db.engine import make_engine, transaction
from db.models import Segment
from db.removals import Kind, Place
from db.removing import Reason, remove
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.checkpoint import FILE_NAME, CheckpointStore
from pipeline.fingerprint import Fingerprint
from pipeline.generation import Generation
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import DATA_QUEUES, Stage
from tasks.repair import RepairReport, repair
from tests.databases import migrate

#: Two blocks of one file, each of 20 lines.
BLOCKS = tuple(b"".join(b"block %d line %02d\n" % (block, line) for line in range(20)) for block in range(2))
CONTENT = b"".join(BLOCKS)
MIDDLE, END = len(BLOCKS[0]), len(CONTENT)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """Return an engine on the embedded database."""
    migrate(settings.sqlalchemy_url)
    engine = make_engine(settings.sqlalchemy_url)
    yield engine
    engine.dispose()


@pytest.fixture
def log(tmp_path: Path, settings: Settings) -> Path:
    """Return a file that was read and confirmed to its end."""
    path = tmp_path / "access.log"
    path.write_bytes(CONTENT)
    status = path.stat()
    fingerprint = Fingerprint()
    fingerprint.grow(CONTENT, END)
    generation = Generation(
        "k" * 32, str(path), status.st_dev, status.st_ino, 0, "h", offset=END, fingerprint=fingerprint
    )
    settings.state_dir.mkdir(exist_ok=True)
    with CheckpointStore(settings.state_dir / FILE_NAME) as store:
        store.save(generation)
    return path


def batch(log: Path, start: int, end: int) -> Batch:
    """Return the batch of a range of the file."""
    return Batch(Source("k" * 32, "host", str(log), format="combined"), start, CONTENT[start:end])


def mended(settings: Settings, engine: Engine) -> RepairReport:
    """Repair, publishing to the embedded broker."""
    with Publisher(settings) as publisher:
        return repair(settings, engine, publisher)


def queued(settings: Settings, stage: Stage) -> list[tuple[int, bytes]]:
    """Return start and bytes of each batch that waits in the queue of a stage, and take them out."""
    batches = []
    with connect(settings) as connection, connection.channel() as channel:
        queue = DATA_QUEUES[stage](channel)
        queue.declare()
        while message := queue.get(accept=["msgpack"]):
            batches.append(Batch.decode(message.decode()[0][0]))
            message.ack()
    return [(batch.start, batch.block) for batch in batches]


def test_nothing_is_published_when_nothing_is_missing(settings: Settings, engine: Engine, log: Path) -> None:
    """A complete source needs no repair."""
    LakeStore(engine).store(batch(log, 0, END))
    CleanStore(engine).store(batch(log, 0, END))

    report = mended(settings, engine)

    assert report == RepairReport()
    assert queued(settings, Stage.LAKE) == queued(settings, Stage.CLEAN) == []


def test_a_gap_of_the_lake_comes_from_the_file(settings: Settings, engine: Engine, log: Path) -> None:
    """The missing range, and nothing else, goes to the queue of the lake alone."""
    LakeStore(engine).store(batch(log, 0, MIDDLE))
    CleanStore(engine).store(batch(log, 0, END))

    report = mended(settings, engine)

    assert report.published_bytes == {Stage.LAKE: END - MIDDLE, Stage.CLEAN: 0}
    assert queued(settings, Stage.LAKE) == [(MIDDLE, BLOCKS[1])]
    assert queued(settings, Stage.CLEAN) == []


def test_a_gap_of_clean_comes_from_the_lake(settings: Settings, engine: Engine, log: Path) -> None:
    """What the lake holds needs no file."""
    LakeStore(engine).store(batch(log, 0, END))
    CleanStore(engine).store(batch(log, MIDDLE, END))
    log.unlink()

    report = mended(settings, engine)

    assert report.unavailable == []
    assert queued(settings, Stage.CLEAN) == [(0, BLOCKS[0])]


def test_a_gap_of_both_comes_from_the_file_for_each(settings: Settings, engine: Engine, log: Path) -> None:
    """One repair serves both stages: clean does not wait for the lake."""
    LakeStore(engine).store(batch(log, 0, MIDDLE))

    mended(settings, engine)

    assert queued(settings, Stage.LAKE) == [(MIDDLE, BLOCKS[1])]
    assert queued(settings, Stage.CLEAN) == [(0, BLOCKS[0]), (MIDDLE, BLOCKS[1])]


@pytest.mark.parametrize("removed", [Stage.LAKE, Stage.CLEAN])
def test_what_was_removed_is_not_published(
    settings: Settings, engine: Engine, log: Path, removed: Stage
) -> None:
    """What one stage has lost on purpose comes to none, neither from the file nor from the lake."""
    LakeStore(engine).store(batch(log, 0, END))
    CleanStore(engine).store(batch(log, 0, END))
    line, other = (0, MIDDLE // 20), Stage.CLEAN if removed is Stage.LAKE else Stage.LAKE
    with transaction(engine) as connection:
        remove(connection, Place(1, removed), [line], Reason(Kind.ERASURE, datetime.now(UTC)))
        connection.execute(delete(Segment).where(Segment.stage == other.value))

    report = mended(settings, engine)

    rest = [(line[1], END - line[1])]
    assert [(start, len(block)) for start, block in queued(settings, other)] == rest
    assert queued(settings, removed) == []
    assert [(lost.start, lost.end) for lost in report.unavailable] == [line]


def test_a_source_that_no_stage_knows_is_published_whole(
    settings: Settings, engine: Engine, log: Path
) -> None:
    """A database that was lost is filled again from the files that the checkpoint names."""
    mended(settings, engine)

    assert queued(settings, Stage.LAKE) == queued(settings, Stage.CLEAN) == [(0, CONTENT)]


def test_a_renamed_file_is_found(settings: Settings, engine: Engine, log: Path) -> None:
    """A rotation does not stop a repair: the file is known by its inode."""
    log.rename(log.with_name("access.log.1"))
    log.write_bytes(b"other lines\n")

    report = mended(settings, engine)

    assert report.unavailable == []
    assert queued(settings, Stage.LAKE) == [(0, CONTENT)]


def test_bytes_that_cannot_be_had_are_named(settings: Settings, engine: Engine, log: Path) -> None:
    """Another file at the path is never taken for the source."""
    LakeStore(engine).store(batch(log, 0, MIDDLE))
    CleanStore(engine).store(batch(log, 0, END))
    log.write_bytes(b"x" * END)

    report = mended(settings, engine)

    (lost,) = report.unavailable
    assert (lost.stage, lost.start, lost.end) == (Stage.LAKE, MIDDLE, END)
    assert lost.reason == "the file holds other bytes now"
    assert queued(settings, Stage.LAKE) == []


def test_a_stage_whose_queue_holds_messages_waits(settings: Settings, engine: Engine, log: Path) -> None:
    """What is missing may be on its way: it is not published a second time."""
    with Publisher(settings) as publisher:
        publisher.publish(batch(log, 0, END), Stage.LAKE)

    report = mended(settings, engine)

    assert report.waiting == [Stage.LAKE]
    assert report.published_bytes == {Stage.LAKE: 0, Stage.CLEAN: END}


def test_a_gap_left_behind_long_ago_does_not_wait(settings: Settings, engine: Engine, log: Path) -> None:
    """Under a steady load the queue is never empty: what the stage passed by long ago is published."""
    LakeStore(engine).store(batch(log, MIDDLE, END))
    CleanStore(engine).store(batch(log, 0, END))
    with transaction(engine) as connection:
        connection.execute(update(Segment).values(stored_at=datetime(2020, 1, 1, tzinfo=UTC)))
    with Publisher(settings) as publisher:
        publisher.publish(batch(log, MIDDLE, END), Stage.LAKE)

    report = mended(settings, engine)

    assert report.waiting == []
    assert report.published_bytes[Stage.LAKE] == MIDDLE


def test_dead_letters_are_left_alone(settings: Settings, engine: Engine, log: Path) -> None:
    """A range in the dead letters is named, and not published to die again."""
    LakeStore(engine).store(batch(log, 0, END))
    with Publisher(settings) as publisher:
        publisher.publish(batch(log, 0, MIDDLE), Stage.CLEAN)
    with connect(settings) as connection, connection.channel() as channel:
        message = DATA_QUEUES[Stage.CLEAN](channel).get(accept=["msgpack"])
        message.reject()

    report = mended(settings, engine)

    assert [(part.stage, part.start, part.end) for part in report.dead] == [(Stage.CLEAN, 0, MIDDLE)]
    assert queued(settings, Stage.CLEAN) == [(MIDDLE, BLOCKS[1])]


def test_what_was_not_missing_before_is_work_in_hand(settings: Settings, engine: Engine, log: Path) -> None:
    """With the missing ranges of an earlier repair, only those that still are missing are published."""
    LakeStore(engine).store(batch(log, 0, END))
    before = {(Stage.CLEAN, "k" * 32): [(0, MIDDLE)]}

    with Publisher(settings) as publisher:
        report = repair(settings, engine, publisher, before)

    assert report.missing == {(Stage.CLEAN, "k" * 32): [(0, END)]}
    assert queued(settings, Stage.CLEAN) == [(0, BLOCKS[0])]
