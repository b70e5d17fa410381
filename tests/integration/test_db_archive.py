"""Backup and restore on both databases, from each into each: every row as it was, or nothing."""

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from db.archive.backup import backup, behind_bytes
from db.archive.container import MANIFEST, Archive, ArchiveDamaged, ArchiveWriter
from db.archive.merge import merge
from db.archive.restore import restore
from db.archive.tables import COLUMNS, MODELS
from db.audit import audit
from db.engine import make_engine, reading, transaction
from db.rebuild import rebuild
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.errors import ConfigurationError

LINE = b'203.0.113.9 - jane [17/May/2015:10:05:03 +0200] "GET /a?x=1 HTTP/1.1" 404 2048 "-" "agent"\n'
#: Whatever COPY's text format has an escape for, what is not text, and a last line without its end.
ODD = b"tab\there \\N \\. back\\slash\r\n\n\\N\nnul \0 and \xff\n\xc3\xa9 form\x0c\x0b\x08feed\nno end"
FIRST, SECOND = LINE * 3 + ODD, LINE * 5
ONE = Source("aa" * 16, "web-1", "/log/one", device=1, inode=(1 << 64) - 1, format="combined")
TWO = Source("bb" * 16, "web-1", "/log/t\two \\N")


def fill(engine: Engine) -> None:
    """Store two sources, the first in two segments, and other bytes for one of them."""
    batches = (Batch(ONE, 0, FIRST), Batch(ONE, len(FIRST), SECOND), Batch(TWO, 0, SECOND))
    for stage in (LakeStore(engine), CleanStore(engine)):
        for batch in (*batches, Batch(TWO, 0, b"#" * len(SECOND))):
            stage.store(batch)


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, as values that are the same on both databases."""
    with reading(engine) as connection:
        return {
            model.__tablename__: sorted(
                (tuple(row) for row in connection.execute(select(*COLUMNS[model.__tablename__]))), key=repr
            )
            for model in MODELS
        }


@pytest.fixture
def archive(engine: Engine, tmp_path: Path) -> Path:
    """A backup of a database of each kind with everything in it."""
    fill(engine)
    path = tmp_path / "backup.zip"
    with path.open("wb") as file:
        backup(engine, ArchiveWriter(file), b"the checkpoint")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An engine on a database of each kind with a schema and no rows."""
    from db import schema  # noqa: PLC0415 - as the fixtures of every test do

    url = f"sqlite:///{tmp_path / 'empty' / 'sluice.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_postgresql_url")
    schema.upgrade(url)
    engine = make_engine(url)
    yield engine
    engine.dispose()


def test_every_row_comes_back(engine: Engine, archive: Path, empty: Engine) -> None:
    """Each table holds the same values as before, whichever kind of database wrote and reads the archive."""
    with Archive(archive) as opened:
        opened.verify()
        restore(empty, opened)

    assert rows(empty) == rows(engine)
    assert b"".join(rebuild(empty, 1)) == FIRST + SECOND
    report = audit(empty, {ONE.key: len(FIRST + SECOND), TWO.key: len(SECOND)}, deep=True)
    assert (report.missing_bytes, report.duplicate_lines, report.damaged_segments) == (0, 0, 0)
    assert report.conflicts == 2


def test_storing_goes_on_after_a_restore(archive: Path, empty: Engine) -> None:
    """New sources and segments get ids that are free."""
    with Archive(archive) as opened:
        restore(empty, opened)

    stored = LakeStore(empty).store(Batch(Source("cc" * 16, "web-2", "/log/new"), 0, LINE))

    assert stored.new_bytes == len(LINE)


def test_a_database_that_holds_something_is_left_alone(engine: Engine, archive: Path) -> None:
    """A whole restore into a database with rows is refused and changes nothing."""
    before = rows(engine)

    with Archive(archive) as opened, pytest.raises(ConfigurationError, match="not empty"):
        restore(engine, opened)

    assert rows(engine) == before


def test_a_source_is_merged_through_the_ledger(archive: Path, empty: Engine) -> None:
    """One source comes back into a database that holds a part of it; a second call stores nothing."""
    LakeStore(empty).store(Batch(ONE, 0, LINE))

    with Archive(archive) as opened:
        first, second = (merge(empty, opened, ONE.path, None) for _ in range(2))

    size = len(FIRST + SECOND)
    assert (first.new_bytes, first.known_bytes) == (2 * size - len(LINE), len(LINE))
    assert (second.new_bytes, second.known_bytes, second.conflict_bytes) == (0, 2 * size, 0)
    assert b"".join(rebuild(empty, 1)) == FIRST + SECOND
    assert audit(empty, {ONE.key: size}, deep=True).complete


def test_a_day_is_merged_alone(engine: Engine, tmp_path: Path, empty: Engine) -> None:
    """Of two days of storing only the named one comes back."""
    fill(engine)
    today = datetime.now(UTC)
    with transaction(engine) as connection:
        earlier = text("UPDATE segments SET stored_at = :at WHERE source_id = 1 AND start_offset > 0")
        connection.execute(earlier, {"at": f"{today - timedelta(days=3):%Y-%m-%d %H:%M:%S}"})
    path = tmp_path / "backup.zip"
    with path.open("wb") as file:
        backup(engine, ArchiveWriter(file))

    with Archive(path) as opened:
        merged = merge(empty, opened, None, (today - timedelta(days=3)).date())

    assert (merged.segments, merged.new_bytes) == (1, 2 * len(SECOND))


def test_other_bytes_become_a_conflict(archive: Path, empty: Engine) -> None:
    """What contradicts the archive stays, and the archive's bytes are kept apart."""
    LakeStore(empty).store(Batch(ONE, 0, b"#" * len(FIRST)))

    with Archive(archive) as opened:
        merged = merge(empty, opened, ONE.key, None)

    assert merged.conflict_bytes == len(FIRST)
    assert audit(empty, None).conflicts == 1


def test_an_unknown_source_is_named(archive: Path, empty: Engine) -> None:
    """There is nothing to take of a source that the archive does not hold."""
    with Archive(archive) as opened, pytest.raises(ConfigurationError, match="--source /none"):
        merge(empty, opened, "/none", None)


def test_what_is_confirmed_and_not_stored_is_counted(engine: Engine) -> None:
    """A stage that has not stored what the checkpoint confirms is behind."""
    LakeStore(engine).store(Batch(ONE, 0, LINE))

    assert behind_bytes(engine, {ONE.key: len(LINE), TWO.key: 7}) == len(LINE) + 2 * 7


def whole(path: Path) -> Path:
    """Write a small archive without a database."""
    with path.open("wb") as file:
        writer = ArchiveWriter(file)
        with writer.stream("raw_logs") as sink:
            sink.write(b"some rows\n" * 1000)
        writer.finish({"schema": "0001", "tables": {}})
    return path


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    """An archive with one other byte in a member is refused, and the member named."""
    path = whole(tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    # Behind the member's name come 20 bytes of its sizes, then its content.
    content[content.index(b"raw_logs.zst") + 12 + 20 + 4] ^= 1
    path.write_bytes(content)

    with Archive(path) as archive, pytest.raises(ArchiveDamaged, match="damaged: raw_logs"):
        archive.verify()


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_an_archive_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    """Whatever its end lacks, it is not an archive."""
    path = whole(tmp_path / "a.zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])

    with pytest.raises(ArchiveDamaged, match=r"a\.zip"):
        Archive(path)


def test_a_member_that_is_gone_is_found(tmp_path: Path) -> None:
    """The manifest names what must be there."""
    path, other = whole(tmp_path / "a.zip"), tmp_path / "b.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        target.writestr(MANIFEST, source.read(MANIFEST))

    with Archive(other) as archive, pytest.raises(ArchiveDamaged, match="raw_logs"):
        archive.verify()


def test_a_newer_schema_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    """What only a newer Sluice wrote is not guessed at."""
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        ArchiveWriter(file).finish({"schema": "9999", "tables": {}})
    engine = make_engine(sqlite_url)

    with Archive(path) as archive, pytest.raises(ConfigurationError, match="newer Sluice"):
        restore(engine, archive)
    engine.dispose()
