"""Driver errors are sorted by what to do, and their text holds no log line."""

import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from db.faults import ValuesRefused, translate, translated
from pipeline.errors import ConfigurationError, DatabaseUnavailable, PipelineError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite3.OperationalError("database is locked"), DatabaseUnavailable),
        (sqlite3.OperationalError("database or disk is full"), DatabaseUnavailable),
        (sqlite3.OperationalError("disk I/O error"), DatabaseUnavailable),
        (sqlite3.OperationalError("attempt to write a readonly database"), DatabaseUnavailable),
        (sqlite3.OperationalError("no such table: segments"), ConfigurationError),
        (sqlite3.OperationalError("unable to open database file"), ConfigurationError),
        (sqlite3.DatabaseError("file is not a database"), ConfigurationError),
        (sqlite3.DataError("string or blob too big"), ValuesRefused),
    ],
)
def test_errors_of_sqlite(error: sqlite3.Error, expected: type[PipelineError]) -> None:
    """Each kind of SQLite's errors becomes the error that says what to do."""
    assert isinstance(translate(error), expected)


def test_unknown_errors_stay_what_they_are() -> None:
    """An error that no one foresaw goes on unchanged instead of being waited for without end."""
    unknown = sqlite3.IntegrityError("segments overlap")

    with pytest.raises(sqlite3.IntegrityError), translated():
        raise unknown


def test_errors_of_the_driver_are_the_cause() -> None:
    """The driver's own error is kept as the cause, out of the message."""
    original = sqlite3.OperationalError("database is locked")

    with pytest.raises(DatabaseUnavailable) as caught, translated():
        raise OperationalError("INSERT secret", {"line": "secret"}, original)

    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OperationalError)
