"""What the databases do to us becomes the error that says what to do, and the next try works."""

from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Engine, select, text

from db import schema
from db.audit import audit
from db.engine import make_engine, reading, transaction
from db.faults import ValuesRefused
from db.models import CleanRecord, RejectedLine
from db.rebuild import rebuild
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.errors import ConfigurationError, DatabaseUnavailable
from pipeline.formats import FORMATS
from pipeline.formats.base import Format, Group

BATCH = Batch(Source("12" * 16, "web-1", "/log"), 0, b"secret line\n")


def other_engine(engine: Engine) -> Engine:
    """Return a second engine on the same database."""
    return make_engine(engine.url.render_as_string(hide_password=False))


def test_no_server_is_waited_for() -> None:
    """A server that does not answer is unavailable, and the error does not tell the password."""
    engine = make_engine("postgresql://someone:secret@127.0.0.1:1/none")

    with pytest.raises(DatabaseUnavailable) as caught:
        LakeStore(engine).store(BATCH)

    assert "secret" not in str(caught.value)


def test_missing_tables_are_a_matter_of_configuration(engine: Engine) -> None:
    """A table that is not there is not waited for: the message says which command makes it."""
    with transaction(engine) as connection:
        connection.execute(text("ALTER TABLE segments RENAME TO away"))

    with pytest.raises(ConfigurationError, match="python -m pipeline migrate") as caught:
        LakeStore(engine).store(BATCH)

    assert "secret" not in str(caught.value)


def test_wrong_encoding_is_refused(empty_postgresql_url: str) -> None:
    """A database that is not UTF8 is refused with the command that makes one that is."""
    name = empty_postgresql_url.rpartition("/")[2]
    server = empty_postgresql_url.removesuffix(name) + "postgres"
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}"')
        cursor.execute(f"CREATE DATABASE \"{name}\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    connection.close()

    with pytest.raises(ConfigurationError, match="createdb -E UTF8"):
        schema.upgrade(empty_postgresql_url)


def test_killed_idle_sessions_go_unnoticed(postgresql: Engine) -> None:
    """A session that ended while it was not used is replaced before the next batch."""
    store = LakeStore(postgresql)
    store.store(BATCH)
    end_other_sessions(postgresql)

    assert store.store(BATCH).known_bytes == len(BATCH.block)


def end_other_sessions(engine: Engine) -> None:
    """End every other session on the database of an engine."""
    other = other_engine(engine)
    with transaction(other) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    other.dispose()


def test_sessions_killed_at_work_are_waited_for(postgresql: Engine) -> None:
    """A session that ends inside a transaction leaves nothing and asks for another try."""
    with pytest.raises(DatabaseUnavailable):  # noqa: PT012, SIM117 - the session ends in between
        with transaction(postgresql) as connection:
            connection.execute(text("SELECT 1"))
            end_other_sessions(postgresql)
            connection.execute(text("SELECT 1"))

    assert LakeStore(postgresql).store(BATCH).lines == 1


def test_locks_are_waited_for(postgresql_url: str) -> None:
    """A table that someone else has locked for long asks for another try, not for a dead letter."""
    engine = make_engine(f"{postgresql_url}?options=-c%20lock_timeout%3D100")
    other = make_engine(postgresql_url)
    with transaction(other) as connection:
        connection.execute(text("LOCK TABLE raw_logs IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            LakeStore(engine).store(BATCH)

    assert LakeStore(engine).store(BATCH).lines == 1
    engine.dispose()
    other.dispose()


def test_sqlite_locks_are_waited_for(sqlite_url: str) -> None:
    """SQLite's write lock in other hands for longer than the wait asks for another try."""
    engine, other = make_engine(sqlite_url), make_engine(sqlite_url)
    with reading(engine) as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    with transaction(other), pytest.raises(DatabaseUnavailable, match="locked"):
        LakeStore(engine).store(BATCH)

    assert LakeStore(engine).store(BATCH).lines == 1
    engine.dispose()
    other.dispose()


def test_readers_do_not_wait_for_writers(engine: Engine) -> None:
    """An audit runs while a batch is being written, and sees what was committed before."""
    LakeStore(engine).store(BATCH)
    other = other_engine(engine)
    with transaction(other) as connection:
        connection.execute(text("DELETE FROM raw_logs"))
        assert audit(engine, None).missing_lines == 0
    other.dispose()


def test_damaged_sqlite_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database is a matter of configuration."""
    (tmp_path / "sluice.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(ConfigurationError, match="not a database"):
        schema.upgrade(f"sqlite:///{tmp_path / 'sluice.db'}")


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Format:
    """A user's format that passes a NUL on, which PostgreSQL's text cannot hold."""
    format_ = Format(
        "careless",
        1,
        r"(?P<time>\d+) (?P<path>{word})",
        (
            Group("time", ("timestamp",), lambda field: (datetime.fromtimestamp(int(field), UTC),)),
            Group("path", ("path",), lambda field: (field.decode(),)),
        ),
    )
    monkeypatch.setitem(FORMATS, format_.name, format_)
    return format_


def test_refused_values_reject_their_lines_alone(postgresql: Engine, careless: Format) -> None:
    """Lines with a value that the database refuses are set apart; every other line is a record."""
    bad = {3, 4, 99}
    lines = [b"%d a%s\n" % (number, b"\0" if number in bad else b"") for number in range(100)]
    source = Source("34" * 16, "web-1", "/log", format=careless.name)
    block = b"".join(lines)

    stored = CleanStore(postgresql).store(Batch(source, 0, block))

    assert (97, 3, len(block)) == (stored.records, stored.rejected, stored.new_bytes)
    with reading(postgresql) as connection:
        rejected = connection.execute(select(RejectedLine.__table__).order_by("line_start")).all()
        assert len(connection.execute(select(CleanRecord.path)).all()) == 97
    assert [lines[number] for number in sorted(bad)] == [bytes(row.raw) for row in rejected]
    assert all("refuses" in row.reason for row in rejected)
    assert audit(postgresql, None, deep=True).sources[0].stages["clean"].missing_lines == 0


def test_refused_values_are_told_apart(postgresql: Engine) -> None:
    """An error about a value says so, without the value."""
    with pytest.raises(ValuesRefused) as caught, transaction(postgresql) as connection:
        connection.execute(text("SELECT 'secret'::int"))

    assert "secret" not in str(caught.value)


def test_rebuild_needs_no_open_view(engine: Engine) -> None:
    """Whoever takes the bytes slowly holds no transaction: a table can change between two pieces."""
    store = LakeStore(engine)
    for number in range(2):
        store.store(Batch(BATCH.source, number * len(BATCH.block), BATCH.block))
    pieces = rebuild(engine, 1)

    first = next(pieces)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE raw_logs SET line = 'secret LINE' WHERE line_start > 0"))

    assert [BATCH.block, b"secret LINE\n"] == [first, next(pieces)]


def test_session_that_began_read_only_is_left(postgresql: Engine) -> None:
    """A write that a read-only session refuses succeeds on a new one once the database takes writes again."""
    name = postgresql.url.database
    other = other_engine(postgresql)
    with other.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        with pytest.raises(DatabaseUnavailable, match="read-only"), transaction(postgresql) as refused:
            refused.execute(text("CREATE TABLE probe (id int)"))
        connection.execute(text(f"ALTER DATABASE {name} RESET ALL"))

    with transaction(postgresql) as taken:
        taken.execute(text("CREATE TABLE probe (id int)"))

    other.dispose()
