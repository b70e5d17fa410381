"""How far a run is, and what it has come to: the checkpoint beside the ledger and the tables."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, insert, select

from db.engine import make_engine, transaction
from db.models import RawLog, Segment
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.checkpoint import FILE_NAME, CheckpointStore
from pipeline.cli.mender import ATTEMPTS, Mender, words
from pipeline.cli.progress import LineDisplay, Reach
from pipeline.cli.reach import Lookout
from pipeline.cli.sources import find_source
from pipeline.cli.totals import Totals, totals
from pipeline.errors import ConfigurationError
from pipeline.generation import Generation
from pipeline.settings import Settings
from pipeline.topology import Stage
from tasks.repair import RepairReport, Unavailable
from tests.databases import migrate

BLOCK = b"".join(b"line %02d of a source\n" % number for number in range(10))
SIZE = len(BLOCK)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """Return an engine on the embedded database."""
    settings.state_dir.mkdir(exist_ok=True)
    migrate(settings.sqlalchemy_url)
    engine = make_engine(settings.sqlalchemy_url)
    yield engine
    engine.dispose()


def source(path: Path, letter: str) -> Source:
    """Return the source of a file; the letter tells its key."""
    return Source(letter * 32, "host", str(path), format="combined")


def confirm(settings: Settings, path: Path, letter: str, offset: int) -> None:
    """Write a confirmed offset to the checkpoint, as the watcher does."""
    path.write_bytes(BLOCK * 3)
    generation = Generation(letter * 32, str(path), 1, 2, 0, letter, offset=offset, size=3 * SIZE)
    with CheckpointStore(settings.state_dir / FILE_NAME) as store:
        store.save(generation)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings of a machine of the name that the sources bear."""
    return settings.model_copy(update={"host": "host"})


@pytest.fixture
def log(tmp_path: Path, settings: Settings) -> Path:
    """Return a file of three blocks, of which two are confirmed."""
    path = tmp_path / "a.log"
    settings.state_dir.mkdir(exist_ok=True)
    confirm(settings, path, "a", 2 * SIZE)
    return path


def test_open_bytes_are_those_confirmed_and_not_stored(settings: Settings, engine: Engine, log: Path) -> None:
    """Each stage is compared with what was confirmed, not with the file."""
    LakeStore(engine).store(Batch(source(log, "a"), 0, BLOCK))

    reach = Lookout(settings, engine, [str(log)]).look()

    assert (reach.total_bytes, reach.confirmed_bytes, reach.lines) == (3 * SIZE, 2 * SIZE, 10)
    assert reach.stored_bytes == {Stage.LAKE: SIZE, Stage.CLEAN: 0}
    assert reach.open_bytes == {Stage.LAKE: SIZE, Stage.CLEAN: 2 * SIZE}
    assert not reach.complete


def test_a_gap_before_the_end_is_open(settings: Settings, engine: Engine, log: Path) -> None:
    """A later segment does not hide an earlier gap, and the next look sees it filled."""
    lookout, lake, clean = Lookout(settings, engine, [str(log)]), LakeStore(engine), CleanStore(engine)
    clean.store(Batch(source(log, "a"), 0, BLOCK * 2))
    lake.store(Batch(source(log, "a"), SIZE, BLOCK))
    assert lookout.look().open_bytes == {Stage.LAKE: SIZE, Stage.CLEAN: 0}

    lake.store(Batch(source(log, "a"), 0, BLOCK))

    assert lookout.look().complete
    assert lookout.look().lines == 20


def test_what_is_stored_beyond_the_checkpoint_counts(settings: Settings, engine: Engine, log: Path) -> None:
    """A checkpoint that lags behind the ledger of one stage does not make the other complete."""
    LakeStore(engine).store(Batch(source(log, "a"), 0, BLOCK * 3))
    CleanStore(engine).store(Batch(source(log, "a"), 0, BLOCK * 2))

    assert Lookout(settings, engine, [str(log)]).look().open_bytes == {Stage.LAKE: 0, Stage.CLEAN: SIZE}


def test_a_run_looks_at_its_own_sources(
    settings: Settings, engine: Engine, log: Path, tmp_path: Path
) -> None:
    """Sources are those that the patterns name, and those that move while it runs."""
    other = log.parent / "elsewhere" / "b.log"
    other.parent.mkdir()
    confirm(settings, other, "b", SIZE)
    lookout = Lookout(settings, engine, [str(log)])
    assert [status.path for status in lookout.sources()] == [str(log)]

    confirm(settings, other, "b", 2 * SIZE)

    assert {status.path for status in lookout.sources()} == {str(log), str(other)}


def test_totals_count_rows_beside_the_ledger(engine: Engine, log: Path) -> None:
    """A row too few and a row too many are both noticed, in different sources or stages."""
    for letter in "ab":
        LakeStore(engine).store(Batch(source(log, letter), 0, BLOCK))
        CleanStore(engine).store(Batch(source(log, letter), 0, BLOCK))
    with transaction(engine) as connection:
        first, second = connection.scalars(select(Segment.source_id).distinct().order_by(Segment.source_id))
        connection.execute(delete(RawLog).where(RawLog.source_id == first, RawLog.line_start == 0))
        row = (
            connection.execute(select(RawLog.__table__).where(RawLog.source_id == second).limit(1))
            .mappings()
            .one()
        )
        connection.execute(insert(RawLog), {**row, "line_start": 10**6})

    counted = totals(engine, {"a" * 32: SIZE, "b" * 32: SIZE + 5, "c" * 32: 7})

    assert counted == Totals(
        lines=20,
        raw=20,
        clean=0,
        rejected=20,
        missing_bytes=2 * 5 + 2 * 7,
        missing_lines=1,
        duplicate_lines=1,
    )


def test_a_source_is_found_by_id_and_by_path(engine: Engine, log: Path) -> None:
    """An id always works; a path does while it names one source, and the error lists the ids."""
    LakeStore(engine).store(Batch(source(log, "a"), 0, BLOCK))
    assert find_source(engine, "1").key == find_source(engine, str(log)).key == "a" * 32

    LakeStore(engine).store(Batch(source(log, "b"), 0, BLOCK))

    assert find_source(engine, "2").key == "b" * 32
    with pytest.raises(ConfigurationError, match=r"names 2 sources .* 1, 2"):
        find_source(engine, str(log))
    with pytest.raises(ConfigurationError, match="no source has the id or path 3"):
        find_source(engine, "3")


def test_a_path_that_is_not_utf_8_is_found(engine: Engine, log: Path) -> None:
    """A file name is bytes: it is found as the shell passes it, and as the database shows it."""
    odd = log.with_name(os.fsdecode(b"od\xffd.log"))
    LakeStore(engine).store(Batch(source(odd, "a"), 0, BLOCK))

    found = find_source(engine, str(odd))

    assert found.path.endswith(r"od\xffd.log")
    assert find_source(engine, found.path) == found


def test_the_mender_gives_up_on_what_cannot_be_had(
    settings: Settings,
    engine: Engine,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Repairs that move nothing end after some attempts, and what is missing is named once."""
    log.unlink()
    reach = Lookout(settings, engine, [str(log)]).look()
    mender = Mender(settings, engine, stall_seconds=0)

    for _ in range(ATTEMPTS + 1):
        assert not mender.exhausted
        mender.mend(reach)

    assert mender.exhausted
    assert capsys.readouterr().err.count(f"{log} are not published: the file is gone") == 2


def test_the_mender_leaves_a_complete_run_alone(settings: Settings, engine: Engine) -> None:
    """Nothing is repaired while nothing is open."""
    mender = Mender(settings, engine)

    for _ in range(ATTEMPTS + 1):
        mender.mend(Reach())

    assert not mender.exhausted


def test_a_repair_is_told_in_words() -> None:
    """What was published again, what waits and what cannot be had are each named."""
    report = RepairReport(
        {Stage.LAKE: 2048, Stage.CLEAN: 0},
        [Unavailable("/a.log", Stage.CLEAN, 1, 5, "gone")],
        waiting=[Stage.LAKE],
    )

    told = words(report)

    assert "lake: 2.0 KiB published again" in told
    assert "lake: nothing moves" in told
    assert "clean: bytes [1, 5) of /a.log are not published: gone" in told
    assert words(RepairReport()) == "nothing is missing"


def test_progress_is_told_in_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Piped, progress is a line on stderr with bytes read, both stages and lines."""
    with LineDisplay(every_seconds=0) as display:
        display.show(Reach(4096, 2048, {Stage.LAKE: 1024, Stage.CLEAN: 512}, 7))

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("read 2.0 KiB of 4.0 KiB, lake 1.0 KiB, clean 512 B, 7 lines, ")
